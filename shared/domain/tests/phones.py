"""What the reference implementation of phone numbers (libphonenumber, `phonenumbers` on PyPI) reads.

    phones.py COUNT SEED    COUNT generated numbers
    phones.py -             the numbers of standard input, `region<TAB>text` a line

One line each: region (`-`: none), text, E.164 (`-`: not read), extension, 1 if a number of its country can be
so long, 1 if it is valid.
"""

import random
import sys

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

# Default regions: with and without a trunk prefix, with zeros that belong to the number, with rewritten
# mobile prefixes, with other signs for "abroad".
DEFAULTS = ["US", "GB", "DE", "FR", "IT", "RU", "BR", "AR", "IN", "AU", "JP", "CI"]
EXTENSIONS = [
    " x136", " ext. 136", "#136", ";ext=136", " доб. 136", " ext 4", " extension 22", "x 77",
    ", ext. 9", " Ext.55", "～123",
]
KINDS = [
    PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER, PhoneNumberType.UAN,
]


def examples():
    """Example numbers of every region, with its trunk prefix, and those of no region."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        numbers = [phonenumbers.example_number_for_type(region, kind) for kind in KINDS]
        trunk = phonenumbers.ndd_prefix_for_region(region, True) or ""
        found.append((region, trunk, [number for number in numbers if number]))
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        number = phonenumbers.example_number_for_non_geo_entity(code)
        if number:
            found.append(("US", "0", [number]))
    return found


def spaced(rng, digits):
    text = digits[0]
    for digit in digits[1:]:
        if rng.random() < 0.3:
            text += rng.choice([" ", "-", ".", " ", "/"])
        text += digit
    return text


def generated(rng, table):
    region, trunk, numbers = rng.choice(table)
    example = rng.choice(numbers)
    code = str(example.country_code)
    national = phonenumbers.national_significant_number(example)
    # Other digits at the end, sometimes one too many or too few.
    changed = rng.randint(0, min(6, len(national) - 1))
    if changed:
        national = national[:-changed] + "".join(rng.choice("0123456789") for _ in range(changed))
    if rng.random() < 0.08:
        national += rng.choice("0123456789")
    if rng.random() < 0.08:
        national = national[:-1]
    try:
        number = phonenumbers.parse("+" + code + national, None)
    except NumberParseException:
        number = example
    formats = [
        lambda: f"+{code}{national}",
        lambda: f"+{code} {spaced(rng, national)}",
        lambda: f"+{code} (0){spaced(rng, national)}",
        lambda: f"00{code}{spaced(rng, national)}",
        lambda: f"00 {code} {national}",
        lambda: phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
        lambda: phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        lambda: trunk + spaced(rng, national),
        lambda: national,
        lambda: code + national,
        lambda: f"+{code} {trunk} {national}",
        lambda: f"({trunk}{national[:3]}) {national[3:]}",
        lambda: f"+{code}({national[:2]}){national[2:]}",
        lambda: f"0{spaced(rng, national)}",
    ]
    text = rng.choice(formats)()
    if rng.random() < 0.2:
        text += rng.choice(EXTENSIONS)
    default = "-" if rng.random() < 0.05 else rng.choice(DEFAULTS + [region])
    return default, text


def line(region, text):
    try:
        number = phonenumbers.parse(text, None if region == "-" else region)
    except NumberParseException:
        return "\t".join([region, text, "-", "", "0", "0"])
    return "\t".join([
        region,
        text,
        phonenumbers.format_number(number, PhoneNumberFormat.E164),
        number.extension or "",
        str(int(phonenumbers.is_possible_number(number))),
        str(int(phonenumbers.is_valid_number(number))),
    ])


def main():
    if sys.argv[1:] == ["-"]:
        for given in sys.stdin.read().splitlines():
            print(line(*given.split("\t")))
        return
    count, seed = (int(argument) for argument in sys.argv[1:])
    rng = random.Random(seed)
    table = examples()
    for _ in range(count):
        print(line(*generated(rng, table)))


main()
