//! The words that made-up people, companies and addresses are put together from. Names stand in the rough
//! order of how common they are, because the generator draws the first ones most often.
//!
//! Lists are texts: items apart by spaces, `_` for a space inside an item, `|` between an item and
//! the other ways to write it.

/// The words of a language.
pub(crate) struct Language {
    /// Given names, each with its short and foreign forms.
    pub(crate) given: &'static str,
    pub(crate) surnames: &'static str,
    /// Rare surnames and small towns are a stem with an ending.
    pub(crate) stems: &'static str,
    pub(crate) endings: &'static str,
    pub(crate) town_endings: &'static str,
    /// The forms of a street, in full and short: `#` the number, `*` the name; `;` between them.
    pub(crate) streets: &'static str,
    pub(crate) street_names: &'static str,
    /// The sectors of companies.
    pub(crate) sectors: &'static str,
}

/// The facts about a country.
pub(crate) struct Country {
    pub(crate) language: &'static Language,
    /// The share of the people that live there, in thousandths.
    pub(crate) weight: u64,
    /// Its English name, and other ways to write it.
    pub(crate) names: &'static str,
    /// `name:state:first characters of postcodes:area code:other name`, the last two of which can be missing.
    pub(crate) cities: &'static str,
    /// The rest of a postcode: `#` a digit, `@` a letter.
    pub(crate) postcode: &'static str,
    /// Its calling code, the prefix of an area code inside the country, and the number of digits of a number
    /// with its area code.
    pub(crate) calling_code: &'static str,
    pub(crate) trunk: &'static str,
    pub(crate) digits: usize,
    /// The first digits of mobile numbers, and the number of digits that these have in all; empty where
    /// mobile numbers begin like others.
    pub(crate) mobiles: &'static str,
    pub(crate) mobile_digits: usize,
    /// Legal forms, the most common first.
    pub(crate) legal: &'static str,
    pub(crate) domains: &'static str,
    pub(crate) free_mail: &'static str,
}

const ENGLISH: Language = Language {
    given: "James|Jim|Jimmy|Jamie John|Jack|Johnny|Jon Robert|Bob|Rob|Bobby Michael|Mike|Mick William|Bill|Will|Billy \
        David|Dave Mary|Molly Jennifer|Jen|Jenny Patricia|Pat|Trish|Patty Elizabeth|Liz|Beth|Lizzie|Betty Richard|Rick|Dick|Rich \
        Thomas|Tom|Tommy Linda Barbara|Barb Susan|Sue|Susie Joseph|Joe|Joey Charles|Charlie|Chuck Christopher|Chris Daniel|Dan|Danny \
        Matthew|Matt Anthony|Tony Sarah|Sally Jessica|Jess Karen Nancy Lisa Margaret|Maggie|Peggy|Meg Mark|Marc Steven|Steve|Stephen \
        Andrew|Andy|Drew Paul Joshua|Josh Kenneth|Ken|Kenny Kevin Brian|Bryan George Timothy|Tim Ronald|Ron Edward|Ed|Ted|Eddie Jason \
        Jeffrey|Jeff|Geoff Ryan Jacob|Jake Gary Nicholas|Nick|Nicolas Eric|Erik Jonathan|Jon Sandra|Sandy Ashley Kimberly|Kim Emily|Em \
        Donna Michelle|Shelly Carol|Carole Amanda|Mandy Melissa|Mel Deborah|Deb|Debbie|Debra Stephanie|Steph Rebecca|Becky|Becca Laura \
        Sharon Cynthia|Cindy Kathleen|Kathy|Kate Amy Angela|Angie Shirley Anna|Ann|Annie Ruth Brenda Pamela|Pam Nicole|Nikki Katherine|Kate|Katie|Kathy|Catherine \
        Samantha|Sam Christine|Chris|Tina Emma Catherine|Cathy|Kate Virginia|Ginny Rachel|Rach Carolyn Janet|Jan Maria Heather Diane|Diana \
        Julie|Julia Joyce Victoria|Vicky|Tori Kelly Christina|Tina|Chrissy Joan Evelyn|Eve Lauren Judith|Judy Olivia|Liv Frances|Fran Martha Cheryl \
        Samuel|Sam Benjamin|Ben Gregory|Greg Frank Alexander|Alex|Sandy Raymond|Ray Patrick|Pat|Paddy Dennis Jerry Tyler Aaron Jose Adam Nathan|Nate \
        Henry|Harry|Hank Zachary|Zach Douglas|Doug Peter|Pete Kyle Noah Ethan Jeremy Walter|Walt Christian Keith Roger Terry Austin Sean|Shaun|Shawn \
        Gerald|Gerry Carl Harold|Harry Dylan Arthur|Art Lawrence|Larry Jordan Jesse Bruce Gabriel|Gabe Bradley|Brad Philip|Phil|Phillip Eugene|Gene \
        Leonard|Len|Lenny Theodore|Ted|Theo Frederick|Fred|Freddie Stuart|Stewart|Stu Duncan Alistair|Alasdair Nigel Siobhan Niamh Oliver|Ollie Isla Freya",
    surnames: "Smith Johnson Williams Brown Jones Miller Davis Wilson Taylor Anderson Thomas Moore Jackson Martin Lee Thompson White Harris Clark Lewis \
        Robinson Walker Young Allen King Wright Scott Hill Green Adams Baker Nelson Hall Campbell Mitchell Carter Roberts Phillips Evans Turner Parker Collins \
        Edwards Stewart Morris Murphy Cook Rogers Morgan Cooper Peterson Bailey Reed Kelly Howard Ward Cox Richardson Wood Watson Brooks Bennett Gray Hughes \
        Price Myers Long Foster Sanders Ross Powell Sullivan Russell Jenkins Perry Butler Barnes Fisher Henderson Coleman Simmons Patterson Jordan Reynolds \
        Hamilton Graham Wallace West Cole Hayes Bryant Gibson Ellis Stevens Murray Ford Marshall Owens McDonald Harrison Kennedy Wells O'Brien O'Connor McCarthy \
        MacDonald McKenzie Fitzgerald Byrne Doyle Gallagher Chapman Mason Shaw Holmes Rice Knight Palmer Mills Nichols Grant Ferguson Stone Dunn Perkins Hudson",
    stems: "Ash Black Bra Brom Cald Chat Cran Dal Ed Fair Farn Gar Hal Hart Hol Kel Lang Lin Mar Nor Pem Rad Rams Roth Shel Stan Thorn Wake Whit Win",
    endings: "ton ley ford worth field wood burn combe well more by ham gate stone",
    town_endings: "ville ton_Falls burg field port dale wood bury mouth chester",
    streets: "# * Street=# * St;# * Avenue=# * Ave;# * Road=# * Rd;# * Lane=# * Ln;# * Drive=# * Dr;# * Court=# * Ct;# * Boulevard=# * Blvd;\
        # North * Street=# N * St.;# West * Avenue=# W. * Av;# * Parkway=# * Pkwy;# * Highway=# * Hwy;# * Close=# * Cl;# * Place=# * Pl;# * Square=# * Sq;# * Terrace=# * Ter",
    street_names: "Main Oak Park Maple Cedar High Church Washington Lake Hill Elm Walnut Pine Station Mill River Victoria Spring Ridge Lincoln Jefferson Sunset \
        Madison Franklin Chestnut Jackson Willow Highland Queen King Albert Forest Meadow Second Third Fifth 1st 2nd 3rd 42nd Commerce Industrial Market Bridge School Grove",
    sectors: "Solutions|Soln Services|Svcs|Svc Technologies|Tech Consulting Group|Grp Systems|Sys International|Intl|Int'l Holdings|Hldgs Partners|Ptnrs Industries|Ind \
        Manufacturing|Mfg Engineering|Engr|Eng Logistics Construction|Constr Health Financial|Fin Properties Media Energy Software Insurance|Ins Foods Capital Design Laboratories|Labs \
        Associates|Assoc Pharmaceuticals|Pharma Electric|Elec Management|Mgmt Medical|Med Analytics Transport|Trans Marketing|Mktg Security Supply Equipment|Equip Dental Robotics \
        Communications|Comm Distribution|Dist Packaging Plumbing Aerospace Hospitality Recruitment Legal Networks Printing Brewing Textiles Advisors Ventures Education|Educ",
};

const GERMAN: Language = Language {
    given: "Thomas|Tom Michael|Micha Andreas|Andi Peter Stefan|Stephan Christian|Chris Hans|Johannes Sabine|Bine Susanne|Susi Petra Monika|Moni Claudia Wolfgang|Wolf \
        Klaus|Claus Jürgen Martina Andrea Alexander|Alex|Sascha Martin Frank Matthias|Mathias Katharina|Kathrin|Käthe Maria Anna|Anja Ursula|Uschi Birgit Markus|Marcus \
        Bernd|Bernhard Uwe Ralf|Rolf Jörg|Georg Heike Karin Daniel|Dani Sebastian|Basti Jan Tobias|Tobi Florian|Flo Philipp|Philip Nicole|Nici Stefanie|Steffi Julia|Jule Christine|Christina|Tina \
        Gabriele|Gabi Renate Silke Dieter Werner Manfred|Manni Heinz|Heinrich Günter|Günther Wilhelm|Willi Friedrich|Fritz Maximilian|Max Lukas|Lucas Felix Paul Jonas Leon Sophie|Sofie Lena|Magdalena \
        Elisabeth|Lisa|Elli Margarete|Grete Johanna|Hanna Franziska|Franzi Benedikt|Bene Ulrich|Uli Rüdiger Detlef|Detlev Kerstin Anke Antje Joachim|Jochen|Achim",
    surnames: "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann \
        Hartmann Lange Schmitt Werner Schmitz Krause Meier Lehmann Schmid Schulze Maier Köhler Herrmann König Walter Mayer Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn Schubert \
        Vogel Friedrich Keller Günther Frank Berger Winkler Roth Beck Lorenz Baumann Franke Albrecht Schuster Simon Ludwig Böhm Winter Kraus Martin Schumacher Krämer Vogt Stein Jäger von_der_Heide",
    stems: "Adel Alten Berg Blumen Bracken Buchen Dorn Eber Ehren Felden Frei Grün Hagen Heller Hirsch Kirch Linden Neu Ober Rosen Sand Stein Tannen Wald Weiden Wiesen",
    endings: "mann bach berger thal hofer meier burger mayr kamp brink feld stein",
    town_endings: "hausen dorf burg heim stadt feld rode kirchen",
    streets: "*straße #=*str. #;*weg #=*weg #;Am * #=Am * #;*allee #=*allee #;*platz #=*pl. #;Alte * Straße #=Alte *str. #;*gasse #=*g. #;*ring #=*ring #",
    street_names: "Haupt Schul Garten Bahnhof Dorf Berg Birken Linden Kirch Wald Ring Schiller Goethe Mozart Industrie Wiesen Mühlen Rosen Amsel Buchen Schloss Hafen Park Jahn Beethoven Feld",
    sectors: "Maschinenbau Logistik Beratung|Consulting Software Technik|Technology Bau Elektrotechnik|Elektro Verwaltung|Verw Handel Medien Energie Immobilien|Immo Systeme|Systems Medizintechnik \
        Werkzeugbau Anlagenbau Versicherungen|Vers Spedition Druck Verlag Gesellschaft|Ges Metallbau Automation Kunststoffe Pharma Steuerberatung Ingenieurbüro|Ing Beteiligungen|Bet",
};

const FRENCH: Language = Language {
    given: "Jean Marie Pierre Michel André Philippe|Phil Nathalie Isabelle|Isa Sylvie Catherine|Cathy Martine Christine Françoise Nicolas|Nico Christophe|Chris Laurent Sébastien|Seb Frédéric|Fred \
        Stéphane|Steph Sandrine Céline Julien Thomas Alexandre|Alex Jean-Pierre Jean-François Jean-Luc Marie-Christine François Patrick Alain Bernard Jacques Daniel Valérie Véronique Stéphanie|Steph Élodie \
        Aurélie Camille Julie Sophie Anne Guillaume|Guy Antoine Vincent Maxime|Max Mathieu|Matthieu Romain Benoît|Ben Jérôme Olivier Éric Pascal Thierry Hélène Élisabeth|Babeth Dominique Emmanuel|Manu Emmanuelle \
        Gérard Yves Denis Hervé Chloé Léa Manon Lucas Hugo Théo|Théodore Mohamed Karim Fatima",
    surnames: "Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Simon Laurent Lefebvre Michel Garcia David Bertrand Roux Vincent Fournier Morel Girard André Lefèvre Mercier Dupont Lambert \
        Bonnet François Martinez Legrand Garnier Faure Rousseau Blanc Guérin Müller Henry Roussel Nicolas Perrin Morin Mathieu Clément Gauthier Dumont Lopez Fontaine Chevalier Robin Masson Sanchez Gérard Nguyen \
        Boyer Denis Lemaire Duval Joly Gautier Roger Roche Roy Noël Meyer Lucas Meunier Jean Marchand Dufour Blanchard Marie Barbier Brun Dumas de_La_Tour Le_Gall",
    stems: "Bar Beau Bon Bour Cham Char Clair Dela Du Fon Gui Haut Lar Mal Mau Mont Pel Per Rous Saint Tour Vau Val Ver",
    endings: "chard mont ville net rand vert zeau dier court lard leau queret",
    town_endings: "ville mont court bourg sur-Loire sur-Mer lès-Prés igny",
    streets: "# rue *=# r. *;# avenue *=# av. *;# boulevard *=# bd *;# rue de la *=# r. de la *;# place *=# pl. *;# chemin *=# ch. *;# allée *=# all. *;# quai *=# quai *",
    street_names: "Victor_Hugo République Gare Église Jean_Jaurès Pasteur Moulin Général_de_Gaulle Paix Fontaine Voltaire Gambetta Liberté Mairie Zola Foch Tilleuls Jardins Carnot Verdun",
    sectors: "Conseil|Consulting Industrie|Ind Services|Svc Informatique|Info Transports|Trans Bâtiment|BTP Santé Énergie Immobilier|Immo Assurances Distribution|Distrib Ingénierie|Ing Électronique|Elec Plastiques Médias \
        Logistique Formation Développement|Dev Équipements Gestion Alimentaire Solutions Emballages Mécanique",
};

const DUTCH: Language = Language {
    given: "Jan|Johannes Peter|Piet|Pieter Johannes|Hans|Jan Maria|Ria|Marie Hendrik|Henk|Rik Cornelis|Cor|Kees Willem|Wim Gerrit|Gert Johanna|Jo|Annie Anna|An|Anneke Elisabeth|Els|Liesbeth Dirk Jacobus|Koos|Jaap \
        Petrus|Piet Wilhelmus|Wim Cornelia|Corrie Hendrika|Henny Maarten Bas|Sebastiaan Jeroen Marieke Sanne Anouk Bram|Abraham Daan|Daniël Sven Lotte|Charlotte Femke Joost Ruben Thijs|Matthijs Martijn Mark Erik \
        Saskia Ingrid Monique Esther Marjolein Wouter Koen|Koenraad Luuk|Lucas Niels Sjoerd Hanneke Tineke Rob|Robert Ron|Ronald Frank|Franciscus Ton|Anton|Antonius Theo|Theodorus Marco Linda Petra",
    surnames: "de_Jong Jansen de_Vries van_den_Berg van_Dijk Bakker Janssen Visser Smit Meijer de_Boer Mulder de_Groot Bos Vos Peters Hendriks van_Leeuwen Dekker Brouwer de_Wit Dijkstra Smits de_Graaf van_der_Meer \
        van_der_Linden Kok Jacobs de_Haan Vermeulen van_den_Heuvel van_der_Veen van_den_Broek de_Bruijn van_der_Heijden Schouten van_Beek Willems van_Vliet van_de_Ven Hoekstra Maas Verhoeven Koster van_Dam \
        van_der_Wal Prins Blom Huisman Peeters Kuipers van_Veen Post Kuiper Veenstra Kramer van_den_Brink Scholten Claes Wouters Goossens De_Smet Maes",
    stems: "Boer Brug Dam Dijk Duin Eik Groen Haag Heer Hof Kamp Kerk Konings Meer Molen Nieuw Oost Polder Rijn Schip Veld Water West Zand",
    endings: "stra mans huis sma berg veld kamp horst ink man",
    town_endings: "dam dijk veen hoven huizen broek kerk",
    streets: "*straat #=*str. #;*laan #=*ln #;*weg #=*weg #;*plein #=*pln #;*kade #=*kade #;*gracht #=*gracht #",
    street_names: "Kerk Dorps School Molen Stations Nieuwe_ Hoofd Beatrix Juliana Wilhelmina Prins_Hendrik Industrie Berken Eiken Linden Beuken Parallel Haven Oranje Emma Singel Markt",
    sectors: "Logistiek Advies|Consultancy Techniek|Tech Bouw Installaties|Inst Transport|Trans Software Handel Media Energie Beheer Automatisering Groep|Group|Grp Vastgoed Zorg Verzekeringen Machines Services|Svcs \
        Scheepvaart Verpakkingen Bloemen Voeding Metaal Holding|Hldg",
};

const SPANISH: Language = Language {
    given: "Antonio|Toño|Toni José|Pepe Manuel|Manolo Francisco|Paco|Fran|Pancho Juan|Juanito David Carmen|Maricarmen María Ana|Anita Isabel|Isa Dolores|Lola Javier|Javi Daniel|Dani José_Antonio José_Luis|Pepe Jesús|Chus \
        Carlos Miguel|Mike Alejandro|Alex|Jandro Rafael|Rafa Pedro|Perico Pablo Ángel Sergio María_del_Carmen|Carmen María_José|Majo Laura Cristina|Cris Marta Lucía Pilar|Pili Josefa|Pepa Rosario|Charo Francisca|Paca \
        Concepción|Concha Fernando|Nando Jorge Luis|Lucho Alberto|Berto Álvaro Diego Adrián Raúl Enrique|Quique Ramón Vicente|Chente Ignacio|Nacho Rubén Guillermo|Memo|Guille Eduardo|Edu|Lalo Roberto|Beto Andrés \
        Beatriz|Bea Teresa|Tere Patricia|Patri Silvia Elena Raquel Rosa Mercedes|Merche Montserrat|Montse Guadalupe|Lupe Consuelo|Chelo Inmaculada|Inma",
    surnames: "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Hernández Ruiz Díaz Moreno Muñoz Álvarez Romero Gutiérrez Alonso Navarro Torres Domínguez Ramos Vázquez Ramírez Gil \
        Serrano Morales Molina Blanco Suárez Castro Ortega Delgado Ortiz Marín Rubio Núñez Medina Sanz Castillo Iglesias Cortés Garrido Santos Guerrero Lozano Cano Cruz Méndez Flores Prieto Herrera Peña León Márquez \
        Cabrera Gallego Calvo Vidal Campos Reyes Vega Fuentes Carrasco Aguilar Caballero de_la_Cruz del_Río",
    stems: "Agui Ala Are Barra Bel Cal Casa Cor Es Flo Gala Igle Lar Lu Mira Mon Pala Pe Quin Riba Sala Tole Val Villa",
    endings: "rez guez nares cedo verde mar lla rada llo nero tero goa",
    town_endings: "nueva _del_Río lejo franca _de_la_Sierra verde hermosa",
    streets: "Calle *, #=C/ * #;Avenida *, #=Avda. * #;Calle de la *, #=C. de la *, #;Plaza *, #=Pza. * #;Paseo *, #=Pº * #;Carretera *, #=Ctra. * #;Camino *, #=Cno. * #",
    street_names: "Mayor Real Constitución Sol Iglesia Libertad Juárez Hidalgo Cervantes Goya Colón Velázquez Madrid Alcalá San_José Santa_Ana Independencia Reforma Andalucía Nueva",
    sectors: "Consultores|Consulting Servicios|Serv Transportes|Trans Construcciones|Constr Sistemas|Sist Tecnología|Tec Alimentación Seguros Energía Inmobiliaria|Inmo Distribuciones|Dist Ingeniería|Ing Logística Salud \
        Comunicación Industrias|Ind Gestión Soluciones Maquinaria Asesores Plásticos Hermanos|Hnos Grupo|Grp Textil",
};

const ITALIAN: Language = Language {
    given: "Giuseppe|Beppe|Peppe|Pino Giovanni|Gianni|Vanni Antonio|Tonino|Toni Mario Luigi|Gigi Francesco|Franco|Cesco Angelo Vincenzo|Enzo Pietro|Piero Salvatore|Totò Carlo Franco Domenico|Mimmo Bruno Paolo Michele \
        Giorgio Aldo Sergio Luciano Maria Anna|Annamaria Giuseppina|Pina Rosa|Rosetta Angela Giovanna|Gianna Teresa Lucia Carmela|Carmen Caterina|Rina Francesca|Franca Andrea Marco Alessandro|Ale|Sandro Luca Matteo|Teo \
        Stefano Roberto|Berto Giulia Chiara Sara Valentina|Vale Federica|Fede Alessandra|Sandra Elena Silvia Laura Simone Davide Federico|Fede Riccardo Lorenzo|Renzo Gabriele|Lele Filippo|Pippo Alberto Massimo Claudio \
        Daniele Fabio Cristina Paola Barbara Patrizia Elisabetta|Betta|Lisa Margherita|Rita",
    surnames: "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti De_Luca Mancini Costa Giordano Rizzo Lombardi Moretti Barbieri Fontana Santoro Mariani Rinaldi Caruso Ferrara Galli \
        Martini Leone Longo Gentile Martinelli Vitale Lombardo Serra Coppola De_Santis D'Angelo Marchetti Parisi Villa Conte Ferraro Ferri Fabbri Bianco Marini Grasso Valentini Messina Sala De_Angelis Gatti Pellegrini \
        Palumbo Sanna Farina Rizzi Monti Cattaneo Morelli Amato Silvestri Mazza Testa Grassi Pellegrino Carbone D'Amico Della_Valle Lo_Russo",
    stems: "Al Bar Bel Bona Bor Cal Cas Cor Fal Fer Gal Gua Mal Man Mar Mon Pal Pel Sal San Tor Val Ver Zan",
    endings: "toli gnini netti bardi velli ducci rini zzoni latti gheri dini massi",
    town_endings: "monte castello _Terme vecchia _Marittima longo sole",
    streets: "Via *, #=V. * #;Viale *, #=V.le * #;Piazza *, #=P.za * #;Corso *, #=C.so * #;Via della *, #=Via d. * #;Largo *, #=L.go * #;Strada *, #=Str. * #",
    street_names: "Roma Garibaldi Mazzini Dante Cavour Verdi Marconi Matteotti Libertà Repubblica Vittorio_Emanuele Stazione Gramsci Galilei Manzoni Trento Torino Milano IV_Novembre Kennedy",
    sectors: "Costruzioni|Costr Servizi|Serv Trasporti|Trasp Impianti|Imp Sistemi|Sist Consulenza|Consulting Meccanica|Mecc Industrie|Ind Alimentari|Alim Informatica|Info Assicurazioni|Ass Immobiliare|Immob Elettronica|Elettr \
        Energia Logistica Arredamenti Tessile Officine Fratelli|F.lli Farmaceutici|Farm Comunicazione Ceramiche Gestioni",
};

const PORTUGUESE: Language = Language {
    given: "Maria|Mariazinha José|Zé Ana|Aninha João|Joãozinho Antônio|Toninho|Tonho Francisco|Chico Carlos|Carlinhos Paulo|Paulinho Pedro|Pedrinho Lucas Luiz|Luis|Lula Marcos Gabriel|Biel Rafael|Rafa Daniel|Dani Marcelo Bruno Eduardo|Edu \
        Felipe|Lipe Rodrigo|Digo Manoel|Manuel|Mané Francisca|Chica Antônia|Tônia Adriana|Dri Juliana|Ju Márcia Fernanda|Nanda Patrícia|Paty Aline Sandra Camila|Mila Amanda|Mandinha Bruna Jéssica Letícia|Lê Júlia Luciana|Lu Vanessa|Nessa \
        Mariana|Mari Gabriela|Gabi Sebastião|Tião Roberto|Beto Gustavo|Guga Leonardo|Léo Thiago|Tiago Fernando|Nando Ricardo|Rica André Alexandre|Alex|Xande Guilherme|Gui Diogo Gonçalo Inês Beatriz|Bia Catarina|Cata Teresa|Teresinha",
    surnames: "Silva Santos Oliveira Souza Rodrigues Ferreira Alves Pereira Lima Gomes Costa Ribeiro Martins Carvalho Almeida Lopes Soares Fernandes Vieira Barbosa Rocha Dias Nascimento Andrade Moreira Nunes Marques Machado Mendes \
        Freitas Cardoso Ramos Gonçalves Santana Teixeira Araújo Melo Barros Borges Batista Campos Moura Castro Pinto Correia Cavalcanti Monteiro Azevedo Miranda Cunha Reis Medeiros Duarte Figueiredo Fonseca Tavares Coelho \
        da_Silva dos_Santos de_Oliveira de_Souza da_Costa",
    stems: "Al Ara Bra Car Cas Co Fer Fi Guima Ita Lou Ma Mon Mou Na Pa Pei Qui Sal Sam Ta Ti Va Ver",
    endings: "rães reira nhão valho meida queira garça bosa rinho lhães zende tinho",
    town_endings: "polis lândia _do_Sul _Grande bela _Novo",
    streets: "Rua *, #=R. *, #;Avenida *, #=Av. *, #;Rua da *, #=R. da *, #;Travessa *, #=Tv. *, #;Praça *, #=Pç. *, #;Alameda *, #=Al. *, #;Rodovia *, km #=Rod. *, km #",
    street_names: "Brasil Sete_de_Setembro XV_de_Novembro Paulista Liberdade Independência São_José Santa_Cruz Rio_Branco Getúlio_Vargas Dom_Pedro Augusta das_Flores Central Boa_Vista Marechal_Deodoro",
    sectors: "Serviços|Serv Transportes|Transp Construções|Constr Sistemas|Sist Consultoria|Consulting Tecnologia|Tec Comércio|Com Indústria|Ind Alimentos|Alim Seguros Energia Imóveis Distribuidora|Dist Engenharia|Eng Logística \
        Saúde Comunicação Soluções Máquinas Embalagens Agropecuária|Agro Participações|Part Irmãos",
};

const SWEDISH: Language = Language {
    given: "Lars|Lasse Anders Karl|Kalle|Carl Johan|Janne Per|Pelle|Pär Nils|Nisse Erik|Eric Maria|Mia Anna|Annika Margareta|Greta|Maggan Elisabeth|Lisa|Elisabet Eva Mikael|Micke|Michael Jan|Janne Hans|Hasse Lennart Olof|Olle Peter|Petter \
        Gunnar Sven|Svenne Fredrik|Fredde Bengt|Bengan Bo|Bosse Daniel|Danne Gustav|Gösta|Gustaf Kristina|Stina|Christina Birgitta|Gittan Karin|Carin Ingrid Linnéa Marie Kerstin Sofia|Sofie Emma Malin Jenny Helena|Lena Sara Åsa \
        Björn|Nalle Göran|Jörgen Håkan Jonas Magnus|Mange Niklas|Nicke|Niclas Oskar|Oscar Viktor|Victor Alexander|Alex Emil Elin Ida Frida Katarina|Kattis|Catarina Ulrika Åke Søren Mette Lone Knud Kåre",
    surnames: "Andersson Johansson Karlsson Nilsson Eriksson Larsson Olsson Persson Svensson Gustafsson Pettersson Jonsson Jansson Hansson Bengtsson Jönsson Lindberg Jakobsson Magnusson Olofsson Lindström Lindqvist Lindgren Axelsson \
        Berg Bergström Lundberg Lind Lundgren Lundqvist Mattsson Berglund Fredriksson Sandberg Henriksson Forsberg Sjöberg Wallin Engström Eklund Danielsson Lundin Håkansson Björk Bergman Gunnarsson Holm Wikström Samuelsson \
        Isaksson Fransson Jensen Nielsen Hansen Pedersen Christensen Sørensen Mortensen",
    stems: "Ahl Alm Berg Björk Blom Dal Ek Eng Fors Gran Hag Hed Holm Kvist Lind Lund Löf Nord Ny Sand Sjö Stål Sten Öst",
    endings: "ström gren qvist lund blad mark berg strand dahl man stedt feldt",
    town_endings: "köping borg sta torp hamn vik",
    streets: "*gatan #=*g. #;*vägen #=*v. #;*gränd #=*gr. #;*torget #=*torget #;*stigen #=*st. #",
    street_names: "Stor Kungs Drottning Skol Kyrko Ring Björk Skogs Industri Hamn Sved Linné Vasa Strand Öster Väster Norra_Lång Södra_Berg Park Tall",
    sectors: "Konsult|Consulting Bygg Transport|Trans Teknik Data Elektriska|El Fastigheter|Fast Energi Försäkring Industri|Ind System Handel Media Logistik Maskin Redovisning Invest Livs Vård Entreprenad Förvaltning Verkstad",
};

const POLISH: Language = Language {
    given: "Piotr|Piotrek Krzysztof|Krzysiek|Krzyś Andrzej|Jędrek Tomasz|Tomek Paweł|Pawełek Jan|Janek|Jasiek Michał|Misiek Marcin Stanisław|Staszek|Stach Jakub|Kuba Adam|Adaś Marek|Maras Łukasz Grzegorz|Grzesiek|Grześ Mateusz|Mati \
        Wojciech|Wojtek Anna|Ania Maria|Marysia Katarzyna|Kasia Małgorzata|Gosia|Małgosia Agnieszka|Aga Barbara|Basia Ewa|Ewka Krystyna|Krysia Magdalena|Magda Elżbieta|Ela Joanna|Asia Aleksandra|Ola Zofia|Zosia Monika Teresa|Terenia \
        Dariusz|Darek Zbigniew|Zbyszek Jerzy|Jurek Maciej|Maciek Rafał Robert Kamil Józef|Józek Jacek Natalia|Natalka Danuta|Danka Beata Dorota Jolanta|Jola Halina Sylwia Iwona Aleksander|Olek Sebastian|Seba Ryszard|Rysiek",
    surnames: "Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Kozłowski Jankowski Mazur Wojciechowski Kwiatkowski Krawczyk Kaczmarek Piotrowski Grabowski Zając Pawłowski \
        Michalski Król Wieczorek Jabłoński Wróbel Nowakowski Majewski Olszewski Stępień Malinowski Jaworski Adamczyk Dudek Nowicki Pawlak Górski Witkowski Walczak Sikora Baran Rutkowski Michalak Szewczyk Ostrowski \
        Tomaszewski Pietrzak Zalewski Wróblewski Marciniak Jasiński Zawadzki Bąk Jakubowski Sadowski Duda Włodarczyk Chmielewski",
    stems: "Bor Brze Chmiel Cier Dąb Do Gaj Gór Jano Kali Klim Lip Łu Mali Mier Ole Osta Prze Rado Sos Star Wól Zak Żeb",
    endings: "owski icki ewicz iński czak owicz ecki aszek niak osz",
    town_endings: "ów owo iec sko ica nik",
    streets: "ul. * #=*, #;ulica * #=ul. * #;al. * #=Aleja * #;pl. * #=Plac * #;os. * #=Osiedle * #",
    street_names: "Polna Leśna Słoneczna Krótka Szkolna Ogrodowa Lipowa Brzozowa Łąkowa Kwiatowa Kościelna Sosnowa Zielona Parkowa Akacjowa Kolejowa Mickiewicza Sienkiewicza Piłsudskiego Warszawska Kościuszki",
    sectors: "Usługi Transport|Trans Budownictwo|Bud Systemy|System Doradztwo|Consulting Technologie|Tech Handel Produkcja Ubezpieczenia Energia Nieruchomości Dystrybucja|Dystryb Logistyka Zdrowie Maszyny Opakowania Finanse Meble Instal",
};

const INDIAN: Language = Language {
    given: "Rahul Amit Sanjay Rajesh|Raj Suresh Priya Anjali|Anju Vijay Anil Sunil Ramesh Deepak|Deep Pooja|Puja Neha Sandeep|Sandy Manoj Vikram|Vicky Ajay Ravi Ashok Arjun Rohit Kavita|Kavitha Sunita Lakshmi|Laxmi Meena Asha Nisha Rekha \
        Sneha Divya Swati Shweta|Sweta Mohammed|Mohammad|Mohd|Muhammad Abdul Imran Arun Ganesh Karthik|Kartik Krishna|Krish Srinivas|Srini|Sreenivas Venkatesh|Venkat|Venky Lakshmanan|Laksh Balasubramanian|Bala Subramaniam|Subbu|Mani Prakash Mukesh \
        Dinesh Naveen Harpreet|Harry Gurpreet Jaspreet Manpreet Aditya|Adi Siddharth|Sid Abhishek|Abhi Nikhil|Nik Pranav Rakesh|Rocky Shyam|Sham Uma Vidya Geetha|Gita|Geeta Padma Radha Saurabh|Sourabh Vivek|Viv Yogesh|Yogi",
    surnames: "Kumar Singh Sharma Patel Gupta Shah Reddy Rao Verma Jain Mehta Agarwal Das Nair Iyer Yadav Khan Mishra Joshi Desai Chopra Kapoor Malhotra Bhat Pillai Menon Banerjee Chatterjee Mukherjee Ghosh Bose Sen Roy Sinha Pandey Tiwari Dubey \
        Saxena Srivastava Bansal Goel Mittal Arora Khanna Sethi Bhatia Ahuja Gill Sandhu Dhillon Grewal Naidu Chowdhury Kulkarni Patil Deshpande Gaikwad Shetty Hegde Ahmed Ansari Shaikh Hussain",
    stems: "Agra Bala Bha Chan Deva Gana Gopa Hari Jaya Kali Krishna Maha Naga Nara Padma Raja Rama Sanka Shiva Subra Sunda Uma Venka Vish",
    endings: "nathan murthy swamy krishnan raman dharan kar wal raju yan charya mani",
    town_endings: "pur nagar bad palli gaon puram",
    streets: "#, * Road=# * Rd;#, * Nagar=# * Ngr;No. #, * Street=# * St;#, * Marg=# * Marg;Plot #, * Industrial Area=Plot No # * Indl Area;#, * Main Road=# * Main Rd",
    street_names: "MG Nehru Gandhi Station Anna Brigade Residency Link Park SV Linking Ring Subhash Ashok Rajaji Lake Temple Church Netaji Ambedkar Patel Tagore",
    sectors: "Technologies|Tech Infotech Enterprises|Entp Industries|Inds Solutions|Soln Services|Svcs Exports Textiles Pharma|Pharmaceuticals Consultancy Engineering|Engg Traders Builders Systems|Sys Logistics Foods Chemicals|Chem Motors Agencies Finance Steel Plastics",
};

const TURKISH: Language = Language {
    given: "Mehmet|Memo Mustafa|Mıstık Ahmet Ali Hüseyin Hasan İbrahim|İbo İsmail Osman Yusuf Murat Ömer Ramazan Halil Süleyman|Sülo Abdullah|Apo Mahmut Fatma|Fatoş Ayşe|Ayş Emine Hatice|Hatçe Zeynep|Zeyno Elif Meryem Şerife Zehra Sultan Hanife Merve \
        Özlem Esra Büşra Kübra Selin Deniz Can Cem Emre Burak Barış Onur Serkan Volkan Hakan Tolga Gökhan Uğur Çağrı Gülşen|Gül Nurcan|Nur Sevgi Aylin Pınar Derya Ebru Sibel Tuğba Yasemin",
    surnames: "Yılmaz Kaya Demir Çelik Şahin Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt Özkan Şimşek Polat Korkmaz Özcan Çakır Erdoğan Yavuz Can Acar Şen Aktaş Güler Yalçın Güneş Bozkurt Bulut Keskin Ünal \
        Turan Gül Özer Işık Kaplan Avcı Sarı Tekin Taş Köse Yüksel Ateş Aksoy",
    stems: "Ak Al Ay Bal Boz Çak Çel De Er Gök Gün Kara Kır Koca Kut Öz Sağ Soy Tan Tek Tur Uz Yal Yıl",
    endings: "taş soy demir bulut türk kaya han oğlu er maz dağ sel",
    town_endings: "köy kent hisar pınar ova şehir",
    streets: "* Caddesi No: #=* Cad. No:#;* Sokak No: #=* Sk. #;* Bulvarı No: #=* Blv. No:#;* Mahallesi #=* Mah. #",
    street_names: "Atatürk Cumhuriyet İstiklal İnönü Gazi Fatih Bağdat Barbaros Mevlana Yunus_Emre Sakarya Lale Gül Menekşe Çınar Fevzi_Çakmak Millet Zafer Okul Cami",
    sectors: "İnşaat|İnş Lojistik Danışmanlık|Dan Teknoloji|Tek Sanayi|San Ticaret|Tic Tekstil|Teks Gıda Otomotiv|Oto Enerji Sigorta Turizm|Tur Makina|Mak Elektronik|Elekt Yazılım Nakliyat|Nak Kimya Mobilya",
};

/// The countries in which the made-up people live and work.
pub(crate) const COUNTRIES: &[Country] = &[
    Country {
        language: &ENGLISH,
        weight: 340,
        names: "United_States|USA|US|U.S.A.|United_States_of_America",
        cities: "New_York:NY|New_York:100:212:New_York_City Los_Angeles:CA|California:900:213:LA Chicago:IL|Illinois:606:312 Houston:TX|Texas:770:713 Phoenix:AZ|Arizona:850:602 Philadelphia:PA|Pennsylvania:191:215 \
            San_Antonio:TX|Texas:782:210 San_Diego:CA|California:921:619 Dallas:TX|Texas:752:214 San_Francisco:CA|California:941:415:SF Austin:TX|Texas:787:512 Seattle:WA|Washington:981:206 Denver:CO|Colorado:802:303 Boston:MA|Massachusetts:021:617 \
            Atlanta:GA|Georgia:303:404 Miami:FL|Florida:331:305 Minneapolis:MN|Minnesota:554:612 Saint_Louis:MO|Missouri:631:314:St._Louis Portland:OR|Oregon:972:503 Cleveland:OH|Ohio:441:216 Fort_Worth:TX|Texas:761:817:Ft._Worth \
            Mount_Pleasant:SC|South_Carolina:294:843:Mt_Pleasant Springfield:IL|Illinois:627:217 Springfield:MO|Missouri:658:417 Newark:NJ|New_Jersey:071:973 Raleigh:NC|North_Carolina:276:919",
        postcode: "##",
        calling_code: "1",
        trunk: "",
        digits: 10,
        mobiles: "",
        mobile_digits: 0,
        legal: "Inc.|Inc|Incorporated|,_Inc. LLC|L.L.C.|,_LLC Corp.|Corporation|Corp Co.|Company|Co LP|L.P. LLP Ltd.|Limited",
        domains: "com com com com net io org co us",
        free_mail: "gmail.com gmail.com gmail.com yahoo.com hotmail.com outlook.com icloud.com aol.com comcast.net",
    },
    Country {
        language: &ENGLISH,
        weight: 50,
        names: "Canada|CA|CAN",
        cities: "Toronto:ON|Ontario:M5:416 Montréal:QC|Quebec:H3:514:Montreal Vancouver:BC|British_Columbia:V6:604 Calgary:AB|Alberta:T2:403 Ottawa:ON|Ontario:K1:613 Edmonton:AB|Alberta:T5:780 Halifax:NS|Nova_Scotia:B3:902 Winnipeg:MB|Manitoba:R3:204",
        postcode: "@ #@#",
        calling_code: "1",
        trunk: "",
        digits: 10,
        mobiles: "",
        mobile_digits: 0,
        legal: "Inc.|Inc|Incorporated Ltd.|Ltd|Limited Corp.|Corporation ULC",
        domains: "ca ca com",
        free_mail: "gmail.com gmail.com hotmail.com yahoo.ca rogers.com outlook.com",
    },
    Country {
        language: &ENGLISH,
        weight: 120,
        names: "United_Kingdom|UK|GB|Great_Britain|England",
        cities: "London::EC1:20 Manchester::M:161 Birmingham::B:121 Leeds::LS:113 Glasgow::G:141 Edinburgh::EH:131 Bristol::BS:117 Liverpool::L:151 Reading::RG:118 Saint_Albans::AL:1727:St_Albans Newcastle_upon_Tyne::NE:191:Newcastle Cardiff::CF:29",
        postcode: "# #@@",
        calling_code: "44",
        trunk: "0",
        digits: 10,
        mobiles: "7400 7700 7912 7850 7501",
        mobile_digits: 10,
        legal: "Ltd|Limited|Ltd. Ltd|Limited|Ltd. plc|PLC|P.L.C. LLP|L.L.P.",
        domains: "co.uk co.uk co.uk com uk org.uk",
        free_mail: "gmail.com gmail.com hotmail.co.uk btinternet.com yahoo.co.uk outlook.com sky.com",
    },
    Country {
        language: &ENGLISH,
        weight: 40,
        names: "Australia|AU|AUS",
        cities: "Sydney:NSW|New_South_Wales:20:2 Melbourne:VIC|Victoria:30:3 Brisbane:QLD|Queensland:40:7 Perth:WA|Western_Australia:60:8 Adelaide:SA|South_Australia:50:8 Newcastle:NSW|New_South_Wales:23:2",
        postcode: "##",
        calling_code: "61",
        trunk: "0",
        digits: 9,
        mobiles: "412 423 438 455",
        mobile_digits: 9,
        legal: "Pty_Ltd|Pty._Ltd.|Pty_Limited|Proprietary_Limited Ltd|Limited",
        domains: "com.au com.au com",
        free_mail: "gmail.com gmail.com bigpond.com hotmail.com outlook.com.au",
    },
    Country {
        language: &ENGLISH,
        weight: 20,
        names: "Ireland|IE|IRL|Éire",
        cities: "Dublin:D|Dublin:D0::Baile_Átha_Cliath Cork:C|Cork:T1:21 Galway:G|Galway:H9:91 Limerick:L|Limerick:V9:61",
        postcode: "# @#@#",
        calling_code: "353",
        trunk: "0",
        digits: 9,
        mobiles: "86 87 85",
        mobile_digits: 9,
        legal: "Ltd|Limited DAC|Designated_Activity_Company plc|PLC",
        domains: "ie ie com",
        free_mail: "gmail.com eircom.net hotmail.com",
    },
    Country {
        language: &GERMAN,
        weight: 90,
        names: "Germany|Deutschland|DE|GER",
        cities: "Berlin:Berlin:10:30 München:Bayern|Bavaria:80:89:Munich Hamburg:Hamburg:20:40 Köln:Nordrhein-Westfalen|NRW:50:221:Cologne Frankfurt_am_Main:Hessen|Hesse:60:69:Frankfurt Stuttgart:Baden-Württemberg:70:711 Düsseldorf:Nordrhein-Westfalen|NRW:40:211 \
            Leipzig:Sachsen|Saxony:04:341 Nürnberg:Bayern|Bavaria:90:911:Nuremberg Hannover:Niedersachsen|Lower_Saxony:30:511:Hanover Dresden:Sachsen|Saxony:01:351 Bremen:Bremen:28:421 Freiburg_im_Breisgau:Baden-Württemberg:79:761:Freiburg",
        postcode: "###",
        calling_code: "49",
        trunk: "0",
        digits: 10,
        mobiles: "151 160 170 171 172 175 176",
        mobile_digits: 11,
        legal: "GmbH|Gesellschaft_mbH GmbH_&_Co._KG|GmbH_u._Co._KG AG|Aktiengesellschaft UG_(haftungsbeschränkt)|UG e.K.|eK KG OHG SE",
        domains: "de de de de com",
        free_mail: "gmx.de web.de t-online.de gmail.com freenet.de outlook.de",
    },
    Country {
        language: &GERMAN,
        weight: 20,
        names: "Austria|Österreich|AT|AUT",
        cities: "Wien:Wien|Vienna:1:1:Vienna Graz:Steiermark|Styria:8:316 Linz:Oberösterreich|Upper_Austria:4:732 Salzburg:Salzburg:5:662 Innsbruck:Tirol|Tyrol:6:512",
        postcode: "###",
        calling_code: "43",
        trunk: "0",
        digits: 10,
        mobiles: "664 676 699 660",
        mobile_digits: 10,
        legal: "GmbH|Ges.m.b.H.|Gesellschaft_m.b.H. AG KG e.U.",
        domains: "at at com",
        free_mail: "gmx.at gmail.com a1.net aon.at",
    },
    Country {
        language: &GERMAN,
        weight: 25,
        names: "Switzerland|Schweiz|CH|Suisse",
        cities: "Zürich:ZH|Zürich:80:44:Zurich Bern:BE|Bern:30:31:Berne Basel:BS|Basel-Stadt:40:61 Genf:GE|Genève:12:22:Genève Luzern:LU|Luzern:60:41:Lucerne",
        postcode: "##",
        calling_code: "41",
        trunk: "0",
        digits: 9,
        mobiles: "76 78 79",
        mobile_digits: 9,
        legal: "AG|SA GmbH|Sàrl AG",
        domains: "ch ch com",
        free_mail: "bluewin.ch gmx.ch gmail.com",
    },
    Country {
        language: &FRENCH,
        weight: 65,
        names: "France|FR|FRA|République_française",
        cities: "Paris:Île-de-France:75:1 Lyon:Auvergne-Rhône-Alpes:69:4 Marseille:Provence-Alpes-Côte_d'Azur|PACA:13:4:Marseilles Toulouse:Occitanie:31:5 Nice:Provence-Alpes-Côte_d'Azur|PACA:06:4 Nantes:Pays_de_la_Loire:44:2 \
            Strasbourg:Grand_Est:67:3 Bordeaux:Nouvelle-Aquitaine:33:5 Lille:Hauts-de-France:59:3 Saint-Étienne:Auvergne-Rhône-Alpes:42:4:St_Etienne",
        postcode: "###",
        calling_code: "33",
        trunk: "0",
        digits: 9,
        mobiles: "6 7",
        mobile_digits: 9,
        legal: "SARL|S.A.R.L. SAS|S.A.S. SA|S.A. EURL SCI",
        domains: "fr fr fr com",
        free_mail: "gmail.com orange.fr free.fr wanadoo.fr laposte.net hotmail.fr sfr.fr",
    },
    Country {
        language: &DUTCH,
        weight: 40,
        names: "Netherlands|The_Netherlands|NL|Nederland|Holland",
        cities: "Amsterdam:Noord-Holland|North_Holland:10:20 Rotterdam:Zuid-Holland|South_Holland:30:10 Den_Haag:Zuid-Holland:25:70:The_Hague Utrecht:Utrecht:35:30 Eindhoven:Noord-Brabant:56:40 Groningen:Groningen:97:50 \
            's-Hertogenbosch:Noord-Brabant:52:73:Den_Bosch",
        postcode: "## @@",
        calling_code: "31",
        trunk: "0",
        digits: 9,
        mobiles: "6",
        mobile_digits: 9,
        legal: "B.V.|BV B.V.|BV N.V.|NV VOF|V.O.F.",
        domains: "nl nl nl com eu",
        free_mail: "gmail.com ziggo.nl kpnmail.nl hotmail.nl live.nl xs4all.nl",
    },
    Country {
        language: &DUTCH,
        weight: 20,
        names: "Belgium|België|BE|Belgique",
        cities: "Antwerpen:Antwerpen|Antwerp:20:3:Antwerp Brussel:Brussel|Bruxelles:10:2:Brussels Gent:Oost-Vlaanderen|East_Flanders:90:9:Ghent Brugge:West-Vlaanderen:80:50:Bruges Leuven:Vlaams-Brabant:30:16",
        postcode: "##",
        calling_code: "32",
        trunk: "0",
        digits: 8,
        mobiles: "470 478 486 495",
        mobile_digits: 9,
        legal: "BV|BVBA NV|SA CVBA|CV",
        domains: "be be com",
        free_mail: "telenet.be skynet.be gmail.com hotmail.be",
    },
    Country {
        language: &SPANISH,
        weight: 35,
        names: "Spain|España|ES|ESP",
        cities: "Madrid:Madrid:28:91 Barcelona:Barcelona|Cataluña:08:93 Valencia:Valencia:46:96 Sevilla:Sevilla|Andalucía:41:95:Seville Zaragoza:Zaragoza|Aragón:50:976:Saragossa Málaga:Málaga:29:952 Bilbao:Vizcaya|Bizkaia:48:94 A_Coruña:A_Coruña|Galicia:15:981:La_Coruña",
        postcode: "###",
        calling_code: "34",
        trunk: "",
        digits: 9,
        mobiles: "61 62 65 66 69",
        mobile_digits: 9,
        legal: "S.L.|SL|Sociedad_Limitada S.A.|SA S.L.U.|SLU",
        domains: "es es com",
        free_mail: "gmail.com hotmail.com telefonica.net yahoo.es hotmail.es",
    },
    Country {
        language: &SPANISH,
        weight: 20,
        names: "Mexico|México|MX|MEX",
        cities: "Ciudad_de_México:CDMX|Distrito_Federal:06:55:Mexico_City Guadalajara:JAL|Jalisco:44:33 Monterrey:NL|Nuevo_León:64:81 Puebla:PUE|Puebla:72:222 Tijuana:BC|Baja_California:22:664",
        postcode: "###",
        calling_code: "52",
        trunk: "",
        digits: 10,
        mobiles: "",
        mobile_digits: 0,
        legal: "S.A._de_C.V.|SA_de_CV S._de_R.L._de_C.V.|S_de_RL_de_CV",
        domains: "com.mx com.mx mx com",
        free_mail: "gmail.com hotmail.com prodigy.net.mx yahoo.com.mx",
    },
    Country {
        language: &ITALIAN,
        weight: 35,
        names: "Italy|Italia|IT|ITA",
        cities: "Milano:MI|Lombardia:20:02:Milan Roma:RM|Lazio:00:06:Rome Torino:TO|Piemonte:10:011:Turin Napoli:NA|Campania:80:081:Naples Bologna:BO|Emilia-Romagna:40:051 Firenze:FI|Toscana:50:055:Florence Venezia:VE|Veneto:30:041:Venice Genova:GE|Liguria:16:010:Genoa",
        postcode: "###",
        calling_code: "39",
        trunk: "",
        digits: 10,
        mobiles: "320 335 347 348 389",
        mobile_digits: 10,
        legal: "S.r.l.|SRL|Srl S.p.A.|SPA|Spa S.n.c.|SNC S.a.s.|SAS",
        domains: "it it it com",
        free_mail: "gmail.com libero.it virgilio.it alice.it tiscali.it hotmail.it",
    },
    Country {
        language: &PORTUGUESE,
        weight: 30,
        names: "Brazil|Brasil|BR|BRA",
        cities: "São_Paulo:SP|São_Paulo:01:11 Rio_de_Janeiro:RJ|Rio_de_Janeiro:20:21:Rio Belo_Horizonte:MG|Minas_Gerais:30:31 Curitiba:PR|Paraná:80:41 Porto_Alegre:RS|Rio_Grande_do_Sul:90:51 Brasília:DF|Distrito_Federal:70:61 Salvador:BA|Bahia:40:71",
        postcode: "###-###",
        calling_code: "55",
        trunk: "0",
        digits: 10,
        mobiles: "119 219 319 419",
        mobile_digits: 11,
        legal: "Ltda.|Ltda|LTDA S.A.|S/A|SA ME EIRELI",
        domains: "com.br com.br com",
        free_mail: "gmail.com uol.com.br hotmail.com bol.com.br terra.com.br",
    },
    Country {
        language: &PORTUGUESE,
        weight: 10,
        names: "Portugal|PT|PRT",
        cities: "Lisboa:Lisboa|Lisbon:10:21:Lisbon Porto:Porto:40:22:Oporto Coimbra:Coimbra:30:239 Braga:Braga:47:253",
        postcode: "##-###",
        calling_code: "351",
        trunk: "",
        digits: 9,
        mobiles: "91 92 93 96",
        mobile_digits: 9,
        legal: "Lda.|Lda|Limitada S.A.|SA",
        domains: "pt pt com",
        free_mail: "gmail.com sapo.pt hotmail.com",
    },
    Country {
        language: &SWEDISH,
        weight: 25,
        names: "Sweden|Sverige|SE|SWE",
        cities: "Stockholm:Stockholm:11:8 Göteborg:Västra_Götaland:41:31:Gothenburg Malmö:Skåne:21:40:Malmo Uppsala:Uppsala:75:18 Linköping:Östergötland:58:13 Västerås:Västmanland:72:21",
        postcode: "# ##",
        calling_code: "46",
        trunk: "0",
        digits: 9,
        mobiles: "70 72 73 76",
        mobile_digits: 9,
        legal: "AB|Aktiebolag AB_(publ)|AB HB|Handelsbolag",
        domains: "se se com",
        free_mail: "gmail.com hotmail.se telia.com live.se bredband.net",
    },
    Country {
        language: &POLISH,
        weight: 25,
        names: "Poland|Polska|PL|POL",
        cities: "Warszawa:mazowieckie:00:22:Warsaw Kraków:małopolskie:30:12:Cracow Łódź:łódzkie:90:42:Lodz Wrocław:dolnośląskie:50:71 Poznań:wielkopolskie:60:61 Gdańsk:pomorskie:80:58 Katowice:śląskie:40:32",
        postcode: "-###",
        calling_code: "48",
        trunk: "",
        digits: 9,
        mobiles: "50 51 60 66 69",
        mobile_digits: 9,
        legal: "Sp._z_o.o.|Spółka_z_o.o.|sp_z_oo S.A.|SA Sp._k.|s.c.",
        domains: "pl pl com.pl com",
        free_mail: "wp.pl o2.pl onet.pl gmail.com interia.pl",
    },
    Country {
        language: &INDIAN,
        weight: 40,
        names: "India|IN|IND|Bharat",
        cities: "Mumbai:MH|Maharashtra:40:22:Bombay Bengaluru:KA|Karnataka:56:80:Bangalore Delhi:DL|Delhi:11:11:New_Delhi Chennai:TN|Tamil_Nadu:60:44:Madras Hyderabad:TS|Telangana:50:40 Pune:MH|Maharashtra:41:20:Poona Kolkata:WB|West_Bengal:70:33:Calcutta Gurugram:HR|Haryana:12:124:Gurgaon",
        postcode: "####",
        calling_code: "91",
        trunk: "0",
        digits: 10,
        mobiles: "98 99 97 88 70",
        mobile_digits: 10,
        legal: "Pvt._Ltd.|Private_Limited|Pvt_Ltd|(P)_Ltd Ltd.|Limited LLP",
        domains: "in co.in com com",
        free_mail: "gmail.com gmail.com rediffmail.com yahoo.co.in outlook.com",
    },
    Country {
        language: &TURKISH,
        weight: 15,
        names: "Turkey|Türkiye|TR|TUR",
        cities: "İstanbul:İstanbul|Istanbul:34:212:Istanbul Ankara:Ankara:06:312 İzmir:İzmir|Izmir:35:232:Izmir Bursa:Bursa:16:224 Antalya:Antalya:07:242",
        postcode: "###",
        calling_code: "90",
        trunk: "0",
        digits: 10,
        mobiles: "532 542 505 555",
        mobile_digits: 10,
        legal: "A.Ş.|AŞ|Anonim_Şirketi Ltd._Şti.|Limited_Şirketi",
        domains: "com.tr com.tr com",
        free_mail: "gmail.com hotmail.com yahoo.com.tr mynet.com",
    },
];

/// Words that companies everywhere call themselves by.
pub(crate) const ADJECTIVES: &str = "Blue Global First Summit Silver United Green Pacific National Golden Northern Bright Advanced Prime Royal Crystal Red Urban Premier Iron Atlantic Smart Nova Central Alpine Modern Coastal Granite Liberty Eastern";
pub(crate) const NOUNS: &str = "Ridge Bridge Star River Stone Point Peak Harbor|Harbour Wave Light Gate Path Field Oak Lion Falcon Horizon Vision Anchor Compass Beacon Crest Valley Forge Rock Lake Tree Spring Keystone Meridian Pinnacle Orbit";
/// Made-up words are one of the first with one of the second.
pub(crate) const COINED: &str = "Ver Nov Lum Tal Zen Syn Alt Cor Qua Axi Opti Dyna Inno Velo Xan Kine Tri Om Ful Ter Ard Cel Mira Stel Aero Bio";
pub(crate) const COINED_ENDINGS: &str =
    "ix ora ent is eon ium tek aris ax ova ent ea ance ity exa ogen is on ara iva";

/// Ranks in a company: in full, and other ways to write them; `*` is the department.
pub(crate) const RANKS: &str = "*_Manager|*_Mgr|Manager,_* *_Specialist|*_Spec. *_Analyst|Analyst,_* Director_of_*|Dir._*|*_Director|Director,_* Senior_*_Manager|Sr._*_Manager|Sr_*_Mgr|Senior_Manager,_* \
    *_Assistant|*_Asst Head_of_*|Head_* *_Coordinator|*_Coord Vice_President_of_*|VP_*|VP_of_*|V.P.,_*|Vice_President,_* Senior_Director_of_*|Sr._Director,_*|Sr_Dir_* Assistant_*_Manager|Asst._*_Manager|Asst_*_Mgr \
    Senior_*_Analyst|Sr._*_Analyst *_Lead|Lead,_* *_Executive|*_Exec Global_Head_of_*|Global_*_Head Chief_*_Officer|C*O Junior_*_Analyst|Jr._*_Analyst Executive_Vice_President,_*|EVP_* *_Consultant Regional_*_Manager|Reg._*_Mgr";
/// Departments.
pub(crate) const DEPARTMENTS: &str = "Sales Marketing|Mktg Engineering|Eng. Operations|Ops Finance|Fin. Human_Resources|HR Procurement|Purchasing Information_Technology|IT Product Customer_Success|CS Business_Development|BD|Biz_Dev \
    Quality_Assurance|QA Supply_Chain Research_and_Development|R&D|Research_&_Development Legal Accounting|Acctg Logistics Data Communications|Comms Security Manufacturing|Mfg Facilities Training Design";
/// Titles on their own.
pub(crate) const TITLES: &str = "Chief_Executive_Officer|CEO Managing_Director|MD|Geschäftsführer President Owner|Inhaber|Proprietor Founder|Co-Founder|Founder_&_CEO Chief_Financial_Officer|CFO Chief_Technology_Officer|CTO \
    Chief_Operating_Officer|COO General_Manager|GM Software_Engineer|Software_Developer Project_Manager|PM|Project_Mgr Partner Controller Attorney Architect Physician Teacher Consultant Executive_Assistant|EA Office_Manager";
