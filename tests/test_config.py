"""Configuration and environment: what is refused, and that the refusal says the fix and no secret."""

from __future__ import annotations

import os
import pwd
import re
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest

from lib import config
from lib.config import ConfigError
from lib.core import catalog, place
from lib.core.money import BtcPrice
from lib.core.place import InFile, InPostgres, InSupabase
from tests.world import ROOT

KEY = "5a" * 32
SHIPPED = (ROOT / "config.yaml").read_text()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The shipped config.yaml with one change."""
    assert SHIPPED.count(old) >= 1
    path = tmp_path / "config.yaml"
    path.write_text(SHIPPED.replace(old, new, 1))
    return path


def refusal(path: Path) -> str:
    """What the operator is told."""
    with pytest.raises(ConfigError) as refused:
        config.read_config(path)
    return str(refused.value)


def test_the_shipped_configuration_is_valid_and_names_its_schema():
    """The first line points editors at the schema that scripts/generate writes."""
    assert SHIPPED.splitlines()[0] == "# yaml-language-server: $schema=docs/config.schema.json"
    assert "openai" in config.read_config(ROOT / "config.yaml").apis


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path):
    """A typing mistake is named with its place and its fix."""
    told = refusal(changed(tmp_path, "max_output: 32768", "maxoutput: 32768"))

    assert "apis.openai.endpoints.0.models.0.maxoutput: unknown key; did you mean `max_output`?" in told


def test_an_unknown_key_that_resembles_nothing_lists_what_is_known(tmp_path: Path):
    """Somebody who guesses is shown the vocabulary."""
    told = refusal(changed(tmp_path, "markup: 1.30", "xyzzy: 1\nmarkup: 1.30"))

    assert "xyzzy: unknown key; known here: allow_fixed_price, allow_loss, apis" in told


def test_a_repeated_key_is_refused(tmp_path: Path):
    """YAML readers differ on which one wins, and prices are somebody's money."""
    assert "`markup` occurs twice" in refusal(changed(tmp_path, "markup: 1.30", "markup: 1.30\nmarkup: 1.40"))


def test_what_several_endpoints_share_is_written_once(tmp_path: Path):
    """Anchors and `<<` work, also where a block that was made with `<<` is built upon; a repeated key stays one."""
    blocks = "shared:\n  base: &base {a: 1, b: 2}\n  more: &more {<<: *base, b: 3}\n  most: {<<: *more, c: 4}\n"

    read = config.read_config(changed(tmp_path, "shared:\n", blocks))

    assert read.shared["most"] == {"a": 1, "b": 3, "c": 4}
    assert "`<<` occurs twice" in refusal(changed(tmp_path, "shared:\n", blocks.replace("c: 4", "<<: *base")))


def test_numbers_that_are_sent_are_json_numbers(tmp_path: Path):
    """Prices are read as decimals; in what is forced upstream, in examples and in rules a fraction is a number."""
    read = config.read_config(changed(tmp_path, "invalid: {temperature: 9}", "invalid: {temperature: 2.5}"))

    assert read.apis["openai"].endpoints[0].example.e2e.invalid == {"temperature": 2.5}
    assert type(read.apis["openai"].endpoints[0].example.e2e.invalid["temperature"]) is float


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("markup: 1.30", "markup: 0.9", "a markup below 1 sells at a loss"),
        ("  openai:\n", "  topup:\n", "`topup` is reserved"),
        ("  openai:\n", "  Open AI:\n", "String should match pattern"),
        ("max_output: 16384", "max_output: 128000", "cannot write max_output 128000 within limits.total_seconds"),
        ("default_max_output: 2048", "default_max_output: 20000", "default_max_output must not exceed max_output"),
        ("- id: gpt-4o\n", "- id: gpt-4o-mini\n", "two models have the same id"),
        ("base_url: https://", "base_url: ftp://", "String should match pattern"),
        ("content_type: json", "content_type: multipart", "an example of content_type json has `body`"),
        (
            "protocol: embeddings",
            "protocol: embeddings\n        reasoning_apart: true",
            "are for protocol chat_completions",
        ),
    ],
)
def test_what_would_lose_money_or_confuse_is_refused(tmp_path: Path, old: str, new: str, sentence: str):
    """Each rule of the schema that is more than a type has its own sentence."""
    assert sentence in refusal(changed(tmp_path, old, new))


def test_rules_that_are_no_json_schema_are_refused(tmp_path: Path):
    """A mistake in the validation rules is found at start-up, not at the first request."""
    path = changed(tmp_path, "seed: {type: integer}", "seed: {type: whole}")

    with pytest.raises(ValueError, match=r"/v1/chat/completions: request\.properties is not valid JSON Schema"):
        catalog.build(config.read_config(path))


def test_prices_are_read_digit_by_digit(tmp_path: Path):
    """0.15 is exactly 0.15, and a price with many digits keeps them."""
    path = changed(tmp_path, "{input: 0.15, output: 0.6", "{input: 0.150000000000000001, output: 0.6")

    models = config.read_config(path).apis["openai"].endpoints[0].models
    tokens = next(model.tokens for model in models if model.id == "gpt-4o-mini")

    assert tokens is not None
    assert tokens.input == Decimal("0.150000000000000001")


def test_files_that_cannot_be_read_or_parsed_say_so(tmp_path: Path):
    """Missing and malformed files are two sentences."""
    assert "cannot be read" in refusal(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("apis: [")
    assert "is not valid YAML" in refusal(tmp_path / "broken.yaml")


def env(**more: str) -> dict[str, str]:
    """The least that a server needs."""
    return {"L402_ROOT_KEY": KEY, "ALITTLEBITOFMONEY_CONFIG": str(ROOT / "config.yaml"), **more}


@pytest.mark.parametrize("key", ["", "abc", KEY + ",", KEY[:-1] + "g", f"{KEY},nonsense"])
def test_a_root_key_that_is_missing_or_malformed_stops_the_start(tmp_path: Path, key: str):
    """Without a root key nothing can be signed; the sentence says how to make one and never repeats it."""
    with pytest.raises(ConfigError) as refused:
        config.read(env(L402_ROOT_KEY=key), tmp_path)

    assert "L402_ROOT_KEY" in str(refused.value)
    assert "nonsense" not in str(refused.value)
    assert KEY[:-1] not in str(refused.value)


def test_several_root_keys_are_newest_first(tmp_path: Path):
    """The first one signs, all of them verify."""
    keys = config.read(env(L402_ROOT_KEY=f"{'11' * 32}, {KEY}"), tmp_path).secrets.root_keys

    assert [key.secret.hex() for key in keys] == ["11" * 32, KEY]


def test_secrets_come_from_a_file_that_only_its_owner_reads(tmp_path: Path):
    """`.env.secrets` fills in what the process does not set; a file that others can read is refused."""
    secrets = tmp_path / ".env.secrets"
    secrets.write_text(f'export L402_ROOT_KEY="{KEY}"\nOPENAI_API_KEY=from-file\nPHOENIX_PASSWORD=from-file\n')
    secrets.chmod(0o600)
    environ = {"ALITTLEBITOFMONEY_CONFIG": str(ROOT / "config.yaml"), "PHOENIX_PASSWORD": "from-process"}

    settings = config.read(environ, tmp_path)

    assert settings.secrets.upstream_keys == {"openai": "from-file"}
    assert settings.secrets.phoenix_password == "from-process"
    secrets.chmod(0o640)
    with pytest.raises(ConfigError, match=r"chmod 600 \.env\.secrets"):
        config.read(environ, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_read_the_secrets_is_told_whose_they_are():
    """An operator who forgot `runuser` reads one sentence, no traceback."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        secrets = Path(directory) / ".env.secrets"
        secrets.touch(mode=0o600)
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            with pytest.raises(ConfigError, match=r"\.env\.secrets belongs to root: say it as that user"):
                config.read_ledger({}, Path(directory))
        finally:
            os.seteuid(0)


def test_the_demo_reads_no_secrets_file(tmp_path: Path):
    """Play money must never buy anything with a real key."""
    (tmp_path / ".env.secrets").write_text("OPENAI_API_KEY=real\n")

    settings = config.read(env(ALITTLEBITOFMONEY_DEMO="1"), tmp_path)

    assert settings.secrets.upstream_keys == {}


def test_only_a_demo_has_a_wallet_that_pays(tmp_path: Path):
    """The password of the wallet for tests is not even read by a server that sells for real."""
    wallet = {"PHOENIX_TEST_PASSWORD": "demo"}

    assert config.read(env(ALITTLEBITOFMONEY_DEMO="1", **wallet), tmp_path).secrets.demo_wallet_password == "demo"
    assert config.read(env(**wallet), tmp_path).secrets.demo_wallet_password == ""


def test_no_secret_is_in_the_settings_text(tmp_path: Path):
    """Settings can be printed."""
    told = repr(config.read(env(OPENAI_API_KEY="sk-secret", PHOENIX_PASSWORD="node-secret"), tmp_path))

    assert not {word for word in (KEY, "sk-secret", "node-secret") if word in told}


def test_a_fixed_price_needs_permission(tmp_path: Path):
    """BTC_USD left over from a test must not price real sales."""
    with pytest.raises(ConfigError, match="allow_fixed_price"):
        config.read(env(BTC_USD="98000"), tmp_path)
    demo = config.read(env(BTC_USD="98000.5", ALITTLEBITOFMONEY_DEMO="1"), tmp_path)
    assert demo.fixed_btc_price == BtcPrice(98_000_500_000)


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "many"])
def test_a_price_that_is_no_price_is_refused(tmp_path: Path, price: str):
    """A price of nothing would sell for everything, or the other way round."""
    with pytest.raises(ConfigError, match="BTC_USD must be a number of dollars"):
        config.read(env(BTC_USD=price, ALITTLEBITOFMONEY_DEMO="1"), tmp_path)


@pytest.mark.parametrize("variable", ["PHOENIX_URL", "OPENAI_BASE_URL"])
def test_addresses_must_be_addresses(tmp_path: Path, variable: str):
    """A host without a scheme is the usual mistake."""
    with pytest.raises(ConfigError, match=f"{variable} must start with http"):
        config.read(env(**{variable: "127.0.0.1:9740"}), tmp_path)


SUPABASE = {
    "ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL": "https://abc.supabase.co/",
    "ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY": "sb_secret_key",
    "ALITTLEBITOFMONEY_SUPABASE_PW": "database-password",
}
POSTGRES = "postgresql://shop:url-password@db.example/shop"


def test_without_a_word_the_ledger_is_a_file(tmp_path: Path):
    """Nothing needs to be set up for the first sale."""
    assert config.read(env(), tmp_path).ledger == InFile()


def test_the_ledger_can_be_in_supabase(tmp_path: Path):
    """Its three variables are read, and none of the secrets is told."""
    settings = config.read(env(**SUPABASE), tmp_path)

    assert settings.ledger == InSupabase("https://abc.supabase.co", "sb_secret_key", "database-password")
    assert "sb_secret_key" not in repr(settings) and "database-password" not in repr(settings)


def test_a_database_wins_over_supabase(tmp_path: Path):
    """With both, even with half of Supabase's, it is DATABASE_URL; its password is not told."""
    both = config.read(env(**SUPABASE, DATABASE_URL=POSTGRES), tmp_path)
    half = config.read(env(DATABASE_URL=POSTGRES, ALITTLEBITOFMONEY_SUPABASE_PW="old"), tmp_path)

    assert both.ledger == half.ledger == InPostgres(POSTGRES)
    assert "url-password" not in repr(both)


@pytest.mark.parametrize("missing", SUPABASE)
def test_half_of_supabase_is_refused_by_name(tmp_path: Path, missing: str):
    """The variable that is missing is named, and no secret: falling back to a file would hide the mistake."""
    set_ = {name: value for name, value in SUPABASE.items() if name != missing}

    with pytest.raises(ConfigError, match=f"^{missing} must be set") as refused:
        config.read(env(**set_), tmp_path)

    assert "sb_secret_key" not in str(refused.value) and "database-password" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ({"DATABASE_URL": "mysql://shop:url-password@db"}, "DATABASE_URL must start with postgresql://"),
        ({**SUPABASE, "ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL": "abc"}, "PROJECT_URL must start with https://"),
    ],
)
def test_a_ledger_s_address_must_be_one(tmp_path: Path, variable: dict[str, str], words: str):
    """Another database's address is not repeated, because it may hold a password."""
    with pytest.raises(ConfigError, match=words) as refused:
        config.read(env(**variable), tmp_path)

    assert "password" not in str(refused.value)


def test_the_demo_may_use_a_database_of_the_process_s_environment(tmp_path: Path):
    """What is set for the process counts; what lies in .env.secrets is the real shop's ledger and is not touched."""
    (tmp_path / ".env.secrets").write_text(f"DATABASE_URL={POSTGRES}\n")

    assert config.read(env(ALITTLEBITOFMONEY_DEMO="1"), tmp_path).ledger == InFile()
    named = config.read(env(ALITTLEBITOFMONEY_DEMO="1", DATABASE_URL=POSTGRES), tmp_path)
    assert named.ledger == InPostgres(POSTGRES)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_is_a_port(port: str):
    """PORT is checked before anything listens."""
    with pytest.raises(ConfigError, match="PORT must be"):
        config.listen_address({"PORT": port})
    assert config.listen_address({}) == ("127.0.0.1", 3000)


def test_every_variable_that_is_read_is_documented():
    """docs/configuration.md is made from the same list; nothing is read that it does not name."""
    source = (ROOT / "lib" / "config.py").read_text()
    documented = {row.name for row in config.ENVIRONMENT}

    read = set(re.findall(r'env(?:iron)?(?:\.get\(|\[)"([A-Z0-9_]+)"', source))
    read |= {value for value in vars(place).values() if isinstance(value, str) and value.isupper()}

    assert len(read) >= 12
    assert read <= documented
