//! Names of other scripts in Latin letters, for scripts in which a transliteration letter by letter would
//! mislead.
//!
//! Chinese characters are read as Chinese by a table of characters; in Japan a surname and a given name are
//! each read as a whole, in a different way. Arabic and Hebrew leave out vowels. Koreans write their surnames
//! in Latin letters by custom and not by rule.
//!
//! Written for this project: the surnames and given names that most people of Japan and Korea have.

use std::sync::LazyLock;

use rustc_hash::FxHashMap as HashMap;

/// Japanese surnames with their readings, roughly in the order of their frequency.
const JAPANESE_SURNAMES: &str = "
佐藤=sato 鈴木=suzuki 高橋=takahashi 田中=tanaka 伊藤=ito 渡辺=watanabe 渡邊=watanabe 渡邉=watanabe 山本=yamamoto 中村=nakamura
小林=kobayashi 加藤=kato 吉田=yoshida 山田=yamada 佐々木=sasaki 山口=yamaguchi 松本=matsumoto 井上=inoue 木村=kimura 林=hayashi
斎藤=saito 斉藤=saito 齋藤=saito 齊藤=saito 清水=shimizu 山崎=yamazaki,yamasaki 阿部=abe 森=mori 池田=ikeda 橋本=hashimoto
山下=yamashita 石川=ishikawa 中島=nakajima,nakashima 前田=maeda 藤田=fujita 小川=ogawa 後藤=goto 岡田=okada 長谷川=hasegawa
村上=murakami 近藤=kondo 石井=ishii 坂本=sakamoto 遠藤=endo 青木=aoki 藤井=fujii 西村=nishimura 福田=fukuda 太田=ota 三浦=miura
藤原=fujiwara 岡本=okamoto 松田=matsuda 中川=nakagawa 中野=nakano 原田=harada 小野=ono 田村=tamura 竹内=takeuchi 金子=kaneko
和田=wada 中山=nakayama 石田=ishida 上田=ueda 森田=morita 原=hara 柴田=shibata 酒井=sakai 工藤=kudo 横山=yokoyama 宮崎=miyazaki
宮本=miyamoto 内田=uchida 高木=takagi 安藤=ando 谷口=taniguchi 大野=ono 丸山=maruyama 今井=imai 高田=takada 藤本=fujimoto
武田=takeda 村田=murata 上野=ueno 杉山=sugiyama 増田=masuda 平野=hirano 大塚=otsuka 千葉=chiba 久保=kubo 松井=matsui 小島=kojima
岩崎=iwasaki 桜井=sakurai 櫻井=sakurai 野口=noguchi 松尾=matsuo 野村=nomura 木下=kinoshita 菊地=kikuchi 菊池=kikuchi 佐野=sano
大西=onishi 杉本=sugimoto 新井=arai 浜田=hamada 濱田=hamada 古川=furukawa 市川=ichikawa 水野=mizuno 小松=komatsu 島田=shimada
小山=koyama 高野=takano 山内=yamauchi 西田=nishida 吉川=yoshikawa 菅原=sugawara 西川=nishikawa 五十嵐=igarashi 北村=kitamura
安田=yasuda 中田=nakata,nakada 川口=kawaguchi 平田=hirata 東=higashi,azuma 飯田=iida 久保田=kubota 川崎=kawasaki 本田=honda
服部=hattori 松下=matsushita 関=seki 沢田=sawada 澤田=sawada 辻=tsuji 樋口=higuchi 田口=taguchi 秋山=akiyama 吉村=yoshimura
岩田=iwata 川上=kawakami 永井=nagai 石原=ishihara 中西=nakanishi 馬場=baba 大島=oshima 小田=oda 松岡=matsuoka 森本=morimoto
望月=mochizuki 田辺=tanabe 矢野=yano 浅野=asano 広瀬=hirose 星野=hoshino 荒木=araki 早川=hayakawa 大橋=ohashi 松村=matsumura
土屋=tsuchiya 吉岡=yoshioka 石橋=ishibashi 川村=kawamura 河野=kono 河村=kawamura 黒田=kuroda 尾崎=ozaki 片山=katayama 本間=honma
岡崎=okazaki 大久保=okubo 小池=koike 熊谷=kumagai 松浦=matsuura 大谷=otani 堀=hori 福島=fukushima 三宅=miyake 西山=nishiyama
内藤=naito 須藤=sudo 奥村=okumura 小西=konishi 大川=okawa 永田=nagata 川田=kawada 田島=tajima 関口=sekiguchi 中井=nakai
宮田=miyata 川島=kawashima 上村=uemura,kamimura 松原=matsubara 成田=narita 栗原=kurihara 岩本=iwamoto 北川=kitagawa 榎本=enomoto
児玉=kodama 白石=shiraishi 坂口=sakaguchi 篠原=shinohara 小泉=koizumi 西尾=nishio 今村=imamura 黒川=kurokawa 平井=hirai 大石=oishi
安部=abe 安倍=abe 宮下=miyashita 植田=ueda 堀内=horiuchi 村井=murai 川端=kawabata 伊東=ito 青山=aoyama 神田=kanda 平山=hirayama
野田=noda 荒井=arai 岸=kishi 桑原=kuwahara 古田=furuta 根本=nemoto 萩原=hagiwara 杉浦=sugiura 中原=nakahara 鎌田=kamada
三好=miyoshi 武藤=muto 横田=yokota 小森=komori 豊田=toyoda,toyota 土井=doi 谷=tani 吉野=yoshino 大森=omori 天野=amano 南=minami
黒木=kuroki 安達=adachi 河合=kawai 島=shima 岡=oka 金田=kaneda 宇野=uno 坂井=sakai 浅井=asai 相田=aida 孫=son
";

/// Japanese given names with their readings.
const JAPANESE_NAMES: &str = "
太郎=taro 一郎=ichiro 次郎=jiro 二郎=jiro 三郎=saburo 健太郎=kentaro 健太=kenta 健=ken,takeshi 健一=kenichi 健二=kenji 健司=kenji
賢治=kenji 浩=hiroshi 浩一=koichi 浩二=koji 弘=hiroshi 博=hiroshi 宏=hiroshi 寛=hiroshi 洋=hiroshi,yo 裕=yutaka,hiroshi 豊=yutaka 明=akira
彰=akira 昭=akira 亮=ryo,akira 誠=makoto 真=makoto 隆=takashi 孝=takashi 崇=takashi 貴=takashi 高志=takashi 隆史=takashi,takafumi
剛=tsuyoshi,takeshi 武=takeshi 毅=takeshi,tsuyoshi 猛=takeshi 聡=satoshi 智=satoshi,tomo 哲=satoshi,tetsu 哲也=tetsuya 徹=toru
透=toru 達也=tatsuya 竜也=tatsuya 拓也=takuya 拓哉=takuya 卓也=takuya 和也=kazuya 和彦=kazuhiko 和夫=kazuo 一夫=kazuo 和雄=kazuo
和子=kazuko 正=tadashi,masashi 忠=tadashi 正人=masato 雅人=masato 真人=masato 雅之=masayuki 正幸=masayuki 政之=masayuki 秀樹=hideki
英樹=hideki 秀明=hideaki 英明=hideaki 直樹=naoki 直人=naoto 直子=naoko 尚子=naoko,hisako 尚=hisashi,nao 茂=shigeru 繁=shigeru 修=osamu
治=osamu 進=susumu 勝=masaru 優=yu,masaru 学=manabu 淳=jun,atsushi 純=jun 潤=jun 順=jun 敦=atsushi 篤=atsushi 大輔=daisuke 大介=daisuke
大樹=daiki,hiroki 大地=daichi 大=dai 翔太=shota 翔=sho,kakeru 翔平=shohei 祥平=shohei 蓮=ren 陸=riku 悠斗=yuto 悠人=yuto 優斗=yuto 勇人=hayato,yuto
隼人=hayato 颯太=sota 大翔=hiroto,haruto 陽翔=haruto 陽太=yota,hinata 雄太=yuta 裕太=yuta 祐太=yuta 勇太=yuta 悠太=yuta 雄一=yuichi 裕一=yuichi
祐一=yuichi 祐介=yusuke 裕介=yusuke 雄介=yusuke 悠介=yusuke 佑介=yusuke 慎一=shinichi 真一=shinichi 信一=shinichi 伸一=shinichi 晋一=shinichi
進一=shinichi 慎二=shinji 真司=shinji 伸二=shinji 信二=shinji 慎吾=shingo 信夫=nobuo 信行=nobuyuki 伸之=nobuyuki 幸一=koichi 孝一=koichi
光一=koichi 康介=kosuke 浩介=kosuke 孝介=kosuke 幸治=koji 浩司=koji 康二=koji 孝二=koji 康弘=yasuhiro 泰弘=yasuhiro 靖=yasushi 康=yasushi
泰=yasushi 博之=hiroyuki 浩之=hiroyuki 裕之=hiroyuki 弘之=hiroyuki 宏之=hiroyuki 博文=hirofumi 弘樹=hiroki 裕樹=yuki,hiroki 祐樹=yuki 勇気=yuki
友樹=yuki,tomoki 智樹=tomoki 知也=tomoya 智也=tomoya 友也=tomoya 智之=tomoyuki 知之=tomoyuki 良太=ryota 亮太=ryota 涼太=ryota 涼=ryo 諒=ryo
遼=ryo 良=ryo 亮介=ryosuke 良介=ryosuke 俊介=shunsuke 駿=shun 俊=shun 瞬=shun 俊彦=toshihiko 敏彦=toshihiko 俊之=toshiyuki 敏之=toshiyuki
敏夫=toshio 利夫=toshio 清=kiyoshi 潔=kiyoshi 実=minoru 稔=minoru 守=mamoru 昇=noboru 登=noboru 満=mitsuru 薫=kaoru 光=hikaru,hikari 司=tsukasa 要=kaname
圭=kei 慶=kei 圭介=keisuke 圭太=keita 啓太=keita 恵太=keita 啓介=keisuke 恵介=keisuke 義男=yoshio 芳雄=yoshio 義雄=yoshio 良雄=yoshio 義明=yoshiaki
洋介=yosuke 陽介=yosuke 洋平=yohei 洋一=yoichi 陽一=yoichi 洋子=yoko 陽子=yoko 恵子=keiko 敬子=keiko 啓子=keiko 圭子=keiko 裕子=yuko,hiroko
優子=yuko 祐子=yuko 由子=yuko,yoshiko 夕子=yuko 幸子=sachiko,yukiko 由紀子=yukiko 雪子=yukiko 有希子=yukiko 由紀=yuki 有紀=yuki 由希=yuki 幸=miyuki,yuki 美幸=miyuki
美雪=miyuki 久美子=kumiko 久美=kumi 美智子=michiko 道子=michiko 典子=noriko 紀子=noriko 法子=noriko 規子=noriko 京子=kyoko 恭子=kyoko 今日子=kyoko
明子=akiko 晶子=akiko 秋子=akiko 昭子=akiko 亜紀子=akiko 文子=fumiko,ayako 史子=fumiko 綾子=ayako 彩子=ayako 順子=junko 純子=junko 淳子=junko,atsuko 敦子=atsuko
温子=atsuko 節子=setsuko 悦子=etsuko 真理子=mariko 真由美=mayumi 麻由美=mayumi 由美子=yumiko 由美=yumi 弓子=yumiko 裕美=hiromi,yumi 博美=hiromi 弘美=hiromi
広美=hiromi 智子=tomoko 知子=tomoko 友子=tomoko 朋子=tomoko 知美=tomomi 智美=tomomi 友美=tomomi 麻美=asami 直美=naomi 尚美=naomi 奈緒美=naomi 里美=satomi 聡美=satomi
美香=mika 美佳=mika 美加=mika 真美=mami 麻衣=mai 舞=mai 愛=ai,megumi 恵=megumi,kei 恵美=emi,megumi 恵美子=emiko 絵美=emi 恵理=eri 絵里=eri 絵理=eri 恵里=eri 絵理子=eriko
香織=kaori 佳織=kaori 香=kaori,ka 沙織=saori 詩織=shiori 美穂=miho 志保=shiho 千尋=chihiro 千春=chiharu 千恵=chie 千恵子=chieko 千佳=chika 智恵=chie,tomoe 彩=aya 綾=aya
彩香=ayaka 綾香=ayaka 彩花=ayaka 遥=haruka 春香=haruka 悠=yu,haruka 結衣=yui 唯=yui 美咲=misaki 葵=aoi 陽菜=hina,haruna 凛=rin 莉子=riko 理子=riko 桜=sakura 花=hana 花子=hanako
美優=miyu 楓=kaede 七海=nanami 奈々=nana 菜々=nana 真由=mayu 麻由=mayu 玲子=reiko 礼子=reiko 麗子=reiko 貴子=takako 孝子=takako 隆子=takako 涼子=ryoko 良子=yoshiko,ryoko
芳子=yoshiko 佳子=yoshiko,keiko 美子=yoshiko 弘子=hiroko 博子=hiroko 浩子=hiroko 寛子=hiroko 洋美=hiromi 瞳=hitomi 仁美=hitomi 瑞穂=mizuho 静香=shizuka 静=shizuka 静子=shizuko
早苗=sanae 昌子=masako 雅子=masako 正子=masako 政子=masako 理恵=rie 里恵=rie 理沙=risa 里沙=risa 理香=rika 里香=rika 梨花=rika 亜美=ami 亜由美=ayumi 歩=ayumi,ayumu 茜=akane
光子=mitsuko 千代子=chiyoko 清子=kiyoko 春子=haruko 晴子=haruko 治子=haruko 律子=ritsuko 信子=nobuko 延子=nobuko 伸子=nobuko 郁子=ikuko 育子=ikuko 邦子=kuniko 幸恵=yukie 雅美=masami
正美=masami 昌美=masami 勝美=katsumi 克己=katsumi 勝彦=katsuhiko 克彦=katsuhiko 邦彦=kunihiko 文彦=fumihiko 晴彦=haruhiko 春彦=haruhiko 明彦=akihiko 昭彦=akihiko 昭夫=akio 明夫=akio 章=akira
";

/// Readings of single characters of Japanese given names, for names that are in no list as a whole.
const JAPANESE_CHARACTERS: &str = "
子=ko 美=mi 郎=ro 男=o 夫=o 雄=o 太=ta 介=suke 輔=suke 助=suke 彦=hiko 也=ya 哉=ya 人=to 斗=to 樹=ki 希=ki 紀=ki 貴=taka 孝=taka 隆=taka 高=taka 之=yuki 行=yuki 幸=yuki
一=ichi 二=ji 司=ji 次=ji 治=ji 三=zo 造=zo 平=hei 吉=kichi 香=ka 佳=ka 花=ka 華=ka 加=ka 代=yo 世=yo 恵=e 江=e 枝=e 絵=e 理=ri 里=ri 莉=ri 梨=ri 奈=na 菜=na 那=na 沙=sa 紗=sa
佐=sa 早=sa 亜=a 明=aki 秋=aki 昭=aki 章=aki 和=kazu 数=kazu 正=masa 雅=masa 昌=masa 政=masa 真=ma 麻=ma 由=yu 優=yu 裕=yu 悠=yu 祐=yu 友=tomo 智=tomo 知=tomo 朋=tomo 直=nao 尚=nao
弘=hiro 広=hiro 博=hiro 浩=hiro 宏=hiro 寛=hiro 大=dai 義=yoshi 良=yoshi 芳=yoshi 吉=yoshi 俊=toshi 敏=toshi 利=toshi 年=toshi 光=mitsu 満=mitsu 信=nobu 伸=nobu 延=nobu 典=nori 紀=nori 憲=nori
春=haru 晴=haru 陽=haru 文=fumi 史=fumi 康=yasu 泰=yasu 靖=yasu 保=yasu 勝=katsu 克=katsu 秀=hide 英=hide 千=chi 久=hisa 邦=kuni 国=kuni 茂=shige 重=shige 清=kiyo 静=shizu 健=ken 賢=ken 慎=shin 新=shin
志=shi 詩=shi 翔=sho 将=sho 昇=sho 亮=ryo 良=ryo 涼=ryo 圭=kei 啓=kei 敬=kei 結=yu 衣=i 伊=i 音=ne 乃=no 野=no 々=
";

/// Korean surnames by their first syllable, as Koreans write them in Latin letters.
const KOREAN_SURNAMES: &str = "
김=kim 이=lee 박=park 최=choi 정=jung 강=kang 조=cho 윤=yoon 장=jang 임=lim 한=han 오=oh 서=seo 신=shin 권=kwon 황=hwang 안=ahn 송=song 류=ryu 유=yoo 전=jeon 홍=hong
고=ko 문=moon 양=yang 손=son 배=bae 백=baek 허=heo 노=noh 남=nam 심=shim 하=ha 곽=kwak 성=sung 차=cha 주=joo 우=woo 구=koo 민=min 나=na 진=jin 지=ji 엄=um 채=chae 원=won
천=chun 방=bang 공=gong 현=hyun 함=ham 변=byun 염=yeom 여=yeo 추=choo 도=do 석=seok 선=sun 설=seol 마=ma 길=gil 연=yeon 위=wi 표=pyo 명=myung 기=ki 반=ban 왕=wang 금=keum 옥=ok 육=yook 인=in 맹=maeng 제=je 모=mo 탁=tak 국=kook
";

type Readings = HashMap<&'static str, Vec<&'static str>>;

fn readings(text: &'static str) -> Readings {
    let mut table = Readings::default();
    for entry in text.split_ascii_whitespace() {
        if let Some((written, read)) = entry.split_once('=') {
            // The first reading of a character is used.
            table
                .entry(written)
                .or_insert_with(|| read.split(',').collect());
        }
    }
    table
}

static SURNAMES: LazyLock<Readings> = LazyLock::new(|| readings(JAPANESE_SURNAMES));
static NAMES: LazyLock<Readings> = LazyLock::new(|| readings(JAPANESE_NAMES));
static CHARACTERS: LazyLock<Readings> = LazyLock::new(|| readings(JAPANESE_CHARACTERS));
static KOREANS: LazyLock<Readings> = LazyLock::new(|| readings(KOREAN_SURNAMES));

/// True if a letter is a Chinese character, which Japanese is written with too.
#[must_use]
pub const fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '々')
}

/// True if a letter is of a Japanese syllabary.
#[must_use]
pub const fn is_kana(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}')
}

/// True if a letter is a Korean syllable.
#[must_use]
pub const fn is_hangul(letter: char) -> bool {
    matches!(letter, '\u{ac00}'..='\u{d7a3}')
}

/// True if a letter is of a script that leaves out vowels.
#[must_use]
pub const fn is_abjad(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

/// The readings of a Japanese surname in Chinese characters; empty for a name that is in no list.
#[must_use]
pub fn japanese_surname(written: &str) -> &'static [&'static str] {
    SURNAMES.get(written).map_or(&[], Vec::as_slice)
}

/// The readings of a Japanese given name in Chinese characters: those of the list, or else that of its
/// characters one by one; empty if one of them is in no list.
#[must_use]
pub fn japanese_name(written: &str) -> Vec<String> {
    if let Some(known) = NAMES.get(written) {
        return known.iter().map(|&read| read.to_owned()).collect();
    }
    let mut read = String::new();
    for (at, letter) in written.char_indices() {
        let letter = written.get(at..at + letter.len_utf8()).unwrap_or_default();
        match CHARACTERS.get(letter).and_then(|known| known.first()) {
            Some(known) => read.push_str(known),
            None => return Vec::new(),
        }
    }
    vec![read]
}

/// Splits a Japanese name in one piece into surname and given name.
#[must_use]
pub fn japanese_parts(written: &str) -> Option<(&str, &str)> {
    let ends = written.char_indices().skip(1).map(|(at, _)| at);
    ends.filter_map(|at| written.split_at_checked(at))
        .filter(|(surname, _)| SURNAMES.contains_key(surname))
        .max_by_key(|(surname, _)| surname.len())
}

/// A Korean surname in Latin letters, as its bearers write it.
#[must_use]
pub fn korean_surname(written: &str) -> Option<&'static str> {
    KOREANS.get(written)?.first().copied()
}

/// Arabic (with Persian and Urdu) and Hebrew consonants in Latin letters, as the bearers of such names write
/// them; unwritten vowels are left out. `first` is true at the beginning of a word.
#[must_use]
pub const fn abjad(letter: char, first: bool) -> Option<&'static str> {
    Some(match letter {
        'ا' | 'أ' | 'آ' | 'إ' | 'ٱ' | 'ى' | 'ة' | 'א' => "a",
        'ع' | 'ע' => {
            if first {
                "a"
            } else {
                ""
            }
        }
        'ب' | 'ב' => "b",
        'ت' | 'ط' | 'ٹ' | 'ת' | 'ט' => "t",
        'ث' => "th",
        'ج' => "j",
        'ח' | 'ح' | 'ه' | 'ہ' | 'ھ' | 'ה' => "h",
        'خ' => "kh",
        'د' | 'ض' | 'ڈ' | 'ד' => "d",
        'ذ' => "dh",
        'ر' | 'ڑ' | 'ר' => "r",
        'ز' | 'ظ' | 'ז' => "z",
        'س' | 'ص' | 'ס' => "s",
        'ش' | 'ש' => "sh",
        'غ' => "gh",
        'ف' | 'פ' | 'ף' => "f",
        'ق' | 'ך' | 'ק' | 'ك' | 'ک' | 'כ' => "k",
        'ل' | 'ל' => "l",
        'م' | 'ם' | 'מ' => "m",
        'ن' | 'ں' | 'ן' | 'נ' => "n",
        'و' | 'ו' => {
            if first {
                "w"
            } else {
                "o"
            }
        }
        'ي' | 'ی' | 'ے' | 'י' => {
            if first {
                "y"
            } else {
                "i"
            }
        }
        'پ' => "p",
        'چ' => "ch",
        'ژ' => "zh",
        'گ' | 'ג' => "g",
        'צ' | 'ץ' => "ts",
        'ء'
        | 'ئ'
        | 'ؤ'
        | 'ـ'
        | '\u{591}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_names_are_read_as_a_whole() {
        assert_eq!(japanese_surname("田中"), ["tanaka"]);
        assert_eq!(japanese_name("太郎"), ["taro"]);
        assert_eq!(japanese_name("裕子"), ["yuko", "hiroko"]);
        assert_eq!(japanese_name("美奈子"), ["minako"]);
        assert_eq!(japanese_parts("長谷川健太"), Some(("長谷川", "健太")));
        assert_eq!(japanese_parts("田中太郎"), Some(("田中", "太郎")));
        assert_eq!(japanese_parts("王小明"), None);
        assert!(SURNAMES.len() > 250 && NAMES.len() > 300);
    }

    #[test]
    fn every_reading_is_folded_and_every_script_known_by_its_letters() {
        let all = [&*SURNAMES, &*NAMES, &*CHARACTERS, &*KOREANS];
        for (written, readings) in all.into_iter().flatten() {
            assert!(
                written.chars().all(|c| is_han(c) || is_hangul(c)),
                "{written}"
            );
            for read in readings {
                assert!(
                    read.bytes().all(|b| b.is_ascii_lowercase()),
                    "{written} {read}"
                );
            }
        }
        assert!(is_kana('タ') && is_kana('ﾀ') && is_hangul('김') && !is_hangul('田'));
        assert!("محمد".chars().all(is_abjad) && "דוד".chars().all(is_abjad));
        assert_eq!(korean_surname("김"), Some("kim"));
    }
}
