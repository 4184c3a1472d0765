"""Reads the environment, `.env.secrets` and config.yaml. Nothing else does."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError

from lib.core import place, schema
from lib.core.l402 import RootKey
from lib.core.money import BtcPrice
from lib.core.place import Place, PlaceUnclear

SECRETS_FILE = Path(".env.secrets")
ROOT_KEY_HEX = re.compile(r"[0-9a-fA-F]{64}")
PORTS = 65_536
DEFAULT_NODE_URL = "http://127.0.0.1:9740"
METRICS_TOKEN_MIN_CHARS = 16
DEFAULT_DATA_DIR = Path("~/.local/share/alittlebitofmoney")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
FLOAT_TAG = "tag:yaml.org,2002:float"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, for docs/configuration.md."""

    name: str
    default: str
    meaning: str


ENVIRONMENT = (
    Variable(
        "L402_ROOT_KEY",
        "",
        "Required. 32 bytes in hex that sign macaroons. After a rotation a list with commas, newest first; "
        "retire an old key only when nothing is owed under it.",
    ),
    Variable(
        "OPENAI_API_KEY",
        "",
        "Our key at OpenAI, and so on for each API's `api_key_env`; without it that API is not sold.",
    ),
    Variable("OPENAI_BASE_URL", "", "`<API NAME>_BASE_URL` replaces an API's `base_url`; start-up says so."),
    Variable("PHOENIX_URL", "http://127.0.0.1:9740", "The phoenixd node."),
    Variable("PHOENIX_PASSWORD", "", "Its password; the limited-access one is enough."),
    Variable(
        place.DATABASE_URL,
        "",
        "A ledger in this PostgreSQL (`postgresql://…`), for any number of processes. Wins over Supabase's variables.",
    ),
    Variable(
        place.PROJECT_URL,
        "",
        "A ledger in this Supabase project, through its API; set all three. With neither it is a SQLite file.",
    ),
    Variable(place.SECRET_KEY, "", "The project's secret key (`sb_secret_…`)."),
    Variable(place.PASSWORD, "", "The password of the project's database, with which `scripts/migrate` reaches it."),
    Variable(
        "ALITTLEBITOFMONEY_DATA_DIR",
        "~/.local/share/alittlebitofmoney",
        "Where the SQLite ledger lives, and what is remembered of any ledger (docs/operations.md).",
    ),
    Variable("ALITTLEBITOFMONEY_CONFIG", "config.yaml", "Another configuration file."),
    Variable("ALITTLEBITOFMONEY_DEMO", "", "`1`: play money. The pages say so, and `BTC_USD` is allowed."),
    Variable(
        "PHOENIX_TEST_URL",
        "http://localhost:9741",
        "A phoenixd that pays: `e2e-test-all.sh` uses it, and in the demo the pages.",
    ),
    Variable("PHOENIX_TEST_PASSWORD", "", "Its full-access password. A server that is no demo never uses it."),
    Variable(
        "METRICS_TOKEN",
        "",
        "`GET /metrics` answers who sends it as `Authorization: Bearer …` (docs/metrics.md); unset, nobody.",
    ),
    Variable(
        "LOG_FORMAT", "", "`json` or `text`; unset, a terminal gets text and anything else one JSON object a line."
    ),
    Variable("HOST", "127.0.0.1", "Where `python server.py` listens."),
    Variable("PORT", "3000", "And on which port."),
    Variable("BTC_USD", "", "A fixed bitcoin price in dollars; outside the demo it needs `allow_fixed_price`."),
)


class ConfigError(Exception):
    """The operator must change something; the text says what, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything that must never be logged."""

    root_keys: tuple[RootKey, ...] = field(repr=False)
    """Newest first; the first one signs."""
    phoenix_password: str = field(repr=False)
    upstream_keys: Mapping[str, str] = field(repr=False)
    """By API name; an API without a key is not sold."""
    demo_wallet_password: str = field(default="", repr=False)
    """Of the wallet that pays in the demo; empty everywhere else."""
    metrics_token: str = field(default="", repr=False)
    """What GET /metrics asks for; where it is empty there are none."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided, checked."""

    config: schema.Config
    secrets: Secrets
    phoenix_url: str
    upstream_urls: Mapping[str, str]
    """By API name: `base_url`, or the environment's override."""
    overridden: frozenset[str]
    """API names whose address comes from the environment."""
    trusted_proxies: tuple[Network, ...]
    """Whose X-Forwarded-For is believed."""
    ledger: Place
    data_dir: Path
    fixed_btc_price: BtcPrice | None
    demo_wallet_url: str
    demo: bool
    blocked_words: tuple[str, ...] = ()
    """From the blocklist's file."""

    @property
    def offered(self) -> frozenset[str]:
        """The APIs that the operator means to sell: those with a key; all, while none has one."""
        return frozenset(self.secrets.upstream_keys) or frozenset(self.config.apis)

    def missing(self, api: str) -> str | None:
        """What must still be set before an API can be sold, in words that anybody may read; None if nothing."""
        if api not in self.secrets.upstream_keys:
            return f"{self.config.apis[api].api_key_env} is not set"
        if not self.secrets.phoenix_password:
            return "PHOENIX_PASSWORD is not set"
        return None


NEEDS_RESTART: Mapping[str, Callable[[Settings], object]] = {
    "L402_ROOT_KEY": lambda settings: settings.secrets.root_keys,
    "PHOENIX_URL": lambda settings: settings.phoenix_url,
    "PHOENIX_PASSWORD": lambda settings: settings.secrets.phoenix_password,
    "where the ledger is": lambda settings: (settings.ledger, settings.data_dir),
    "BTC_USD": lambda settings: settings.fixed_btc_price,
    "btc_price": lambda settings: settings.config.btc_price,
    "limits.drain_seconds": lambda settings: settings.config.limits.drain_seconds,
}
"""What a running server keeps as it was when it started, in the words of who changed it. All else can be reloaded."""


def succeeding(old: Settings, new: Settings) -> Settings:
    """What a server that began with `old` can take over from `new` while it runs."""
    secrets = replace(new.secrets, root_keys=old.secrets.root_keys, phoenix_password=old.secrets.phoenix_password)
    limits = new.config.limits.model_copy(update={"drain_seconds": old.config.limits.drain_seconds})
    return replace(
        new,
        config=new.config.model_copy(update={"btc_price": old.config.btc_price, "limits": limits}),
        secrets=secrets,
        phoenix_url=old.phoenix_url,
        ledger=old.ledger,
        data_dir=old.data_dir,
        fixed_btc_price=old.fixed_btc_price,
    )


def waiting_for_restart(old: Settings, new: Settings) -> list[str]:
    """What differs between them that only a restart can change."""
    return [name for name, of in NEEDS_RESTART.items() if of(old) != of(new)]


def read(environ: Mapping[str, str], root: Path) -> Settings:
    """Read everything. The process environment wins over `.env.secrets`. Raises ConfigError."""
    demo = _is_demo(environ)
    env = _merged(environ, root)
    shop = read_upstreams(environ, root)
    config = shop.config
    return Settings(
        config=config,
        secrets=Secrets(
            root_keys=_root_keys(env.get("L402_ROOT_KEY", "")),
            phoenix_password=env.get("PHOENIX_PASSWORD", ""),
            upstream_keys=shop.keys,
            metrics_token=_metrics_token(env.get("METRICS_TOKEN", "")),
            demo_wallet_password=env.get("PHOENIX_TEST_PASSWORD", "") if demo else "",
        ),
        phoenix_url=_url("PHOENIX_URL", env.get("PHOENIX_URL", DEFAULT_NODE_URL)),
        upstream_urls=shop.urls,
        overridden=frozenset(name for name in config.apis if env.get(_base_url_name(name))),
        trusted_proxies=_networks(config.limits.trusted_proxies),
        ledger=_ledger(env),
        data_dir=_data_dir(env),
        fixed_btc_price=_fixed_price(env.get("BTC_USD", ""), allowed=demo or config.allow_fixed_price),
        demo_wallet_url=_url("PHOENIX_TEST_URL", env.get("PHOENIX_TEST_URL", "http://localhost:9741")),
        demo=demo,
        blocked_words=_blocked_words(
            config.blocklist, (root / env.get("ALITTLEBITOFMONEY_CONFIG", "config.yaml")).parent
        ),
    )


@dataclass(frozen=True, slots=True)
class Upstreams:
    """What is sold and where it is bought."""

    config: schema.Config
    urls: Mapping[str, str]
    keys: Mapping[str, str] = field(repr=False)
    """By API name; only of those that have one."""


def read_upstreams(environ: Mapping[str, str], root: Path) -> Upstreams:
    """The catalog's side of the settings, for programs that sell nothing. Raises ConfigError."""
    env = _merged(environ, root)
    config = read_config(root / env.get("ALITTLEBITOFMONEY_CONFIG", "config.yaml"))
    urls = {name: env.get(_base_url_name(name), "") or api.base_url for name, api in config.apis.items()}
    return Upstreams(
        config=config,
        urls={name: _url(_base_url_name(name), url) for name, url in urls.items()},
        keys={name: env[api.api_key_env] for name, api in config.apis.items() if env.get(api.api_key_env)},
    )


def read_ledger(environ: Mapping[str, str], root: Path) -> tuple[Place, Path]:
    """Where the ledger is, and the data directory, for programs that sell nothing. Raises ConfigError."""
    env = _merged(environ, root)
    return _ledger(env), _data_dir(env)


def read_node(environ: Mapping[str, str], root: Path) -> tuple[str, str]:
    """The node's address and password, for programs that sell nothing. Raises ConfigError."""
    env = _merged(environ, root)
    return _url("PHOENIX_URL", env.get("PHOENIX_URL", DEFAULT_NODE_URL)), env.get("PHOENIX_PASSWORD", "")


def process_environment() -> Mapping[str, str]:
    """The environment this process was started with."""
    return dict(os.environ)


def listen_address(environ: Mapping[str, str]) -> tuple[str, int]:
    """HOST and PORT. Raises ConfigError."""
    port = environ.get("PORT", "") or "3000"
    if not port.isdigit() or not 0 < int(port) < PORTS:
        raise ConfigError("PORT must be a number from 1 to 65535")
    return environ.get("HOST", "") or "127.0.0.1", int(port)


def read_config(path: Path) -> schema.Config:
    """Read and validate a config.yaml. Raises ConfigError that names the place and the fix."""
    try:
        document: object = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    try:
        return schema.Config.model_validate(document)
    except ValidationError as error:
        lines = [_explain(item, schema.Config) for item in cast("list[dict[str, Any]]", error.errors())]
        raise ConfigError(f"{path}:\n" + "\n".join(f"  {line}" for line in lines)) from None


_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, which is ten times as fast, in every wheel of PyYAML; one that was compiled without it has its own."""


class _Loader(_SafeLoader):
    """YAML without surprises: prices become Decimal from their own digits, a repeated key is an error."""

    def get_single_node(self) -> yaml.Node | None:
        """Refuse a key that is written twice. Keys that `<<` brings in later may be written over."""
        root = super().get_single_node()
        waiting, seen = [root], set[int]()
        while waiting:
            node = waiting.pop()
            if id(node) in seen:  # an alias
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                _refuse_repeated(node)
                waiting += [value for _, value in node.value]
            elif isinstance(node, yaml.SequenceNode):
                waiting += node.value
        return root

    def construct_decimal(self, node: yaml.ScalarNode) -> Decimal:
        """0.15 is exactly 0.15."""
        return Decimal(node.value)


def _refuse_repeated(node: yaml.MappingNode) -> None:
    seen = set[str]()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key `{key.value}` occurs twice", key.start_mark)
        seen.add(key.value)


_Loader.add_constructor(FLOAT_TAG, _Loader.construct_decimal)  # pyright: ignore[reportUnknownMemberType]


def _explain(item: dict[str, Any], model: type[BaseModel]) -> str:
    """One validation error in plain words: where, what, and for an unknown key the nearest known one."""
    place = tuple(part for part in item["loc"] if isinstance(part, str | int))
    where = ".".join(str(part) for part in place)
    if item["type"] != "extra_forbidden":
        return f"{where or 'config'}: {item['msg'].removeprefix('Value error, ')}"
    known = _keys_at(model, place[:-1])
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    return f"{where}: unknown key; {fix}"


def _keys_at(model: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    """The keys that the schema knows at a place of the document."""
    document = model.model_json_schema()
    node: dict[str, Any] = document
    for part in place:
        node = _resolve(document, node)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or _values(node)
    return sorted(_resolve(document, node).get("properties", {}))


def _values(node: dict[str, Any]) -> dict[str, Any]:
    """The schema of a mapping's values."""
    patterns: dict[str, dict[str, Any]] = node.get("patternProperties", {})
    others: dict[str, Any] = node.get("additionalProperties") or {}
    return next(iter(patterns.values()), others)


def _resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", ()):
        if "$ref" in option:
            node = option
    reference = node.get("$ref")
    return document["$defs"][reference.rpartition("/")[2]] if reference else node


def _is_demo(environ: Mapping[str, str]) -> bool:
    return environ.get("ALITTLEBITOFMONEY_DEMO") == "1"


def _merged(environ: Mapping[str, str], root: Path) -> dict[str, str]:
    """What is set, by the process or by the secrets file. Play money buys nothing with real keys."""
    secrets_file = {} if _is_demo(environ) else _secrets_file(root / SECRETS_FILE)
    return {name: value for name, value in {**secrets_file, **environ}.items() if value}


def _data_dir(env: Mapping[str, str]) -> Path:
    return Path(env.get("ALITTLEBITOFMONEY_DATA_DIR") or DEFAULT_DATA_DIR).expanduser()


def _secrets_file(path: Path) -> dict[str, str]:
    """`.env.secrets`, if there is one. Raises ConfigError when others may read it, or we may not."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return {}
    if mode & 0o077:
        raise ConfigError(f"{path.name} can be read by others: chmod 600 {path.name}")
    try:
        return {name: value for name, value in dotenv_values(path).items() if value}
    except PermissionError as error:
        raise ConfigError(f"{path.name} belongs to {path.owner()}: say it as that user") from error


def _root_keys(text: str) -> tuple[RootKey, ...]:
    if not text.strip():
        raise ConfigError(
            "L402_ROOT_KEY is not set. Make one and keep it: "
            '(umask 077 && echo "L402_ROOT_KEY=$(openssl rand -hex 32)" >>.env.secrets)'
        )
    parts = [part.strip() for part in text.split(",")]
    if not all(ROOT_KEY_HEX.fullmatch(part) for part in parts):
        raise ConfigError("L402_ROOT_KEY must be 64 hexadecimal digits, or several such keys with commas, newest first")
    return tuple(RootKey(bytes.fromhex(part)) for part in parts)


def _blocked_words(rules: schema.Blocklist, folder: Path) -> tuple[str, ...]:
    if rules.file is None:
        return ()
    try:
        lines = (folder / rules.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"blocklist.file: {rules.file} cannot be read: {type(error).__name__}") from error
    return tuple(word for line in lines if (word := line.partition("#")[0].strip()))


def _metrics_token(text: str) -> str:
    if text and (len(text) < METRICS_TOKEN_MIN_CHARS or not text.isascii() or not text.isprintable()):
        raise ConfigError(f"METRICS_TOKEN must have at least {METRICS_TOKEN_MIN_CHARS} printable ASCII characters")
    return text


def log_form(environ: Mapping[str, str]) -> Literal["json", "text"] | None:
    """LOG_FORMAT; None where it is not set. Raises ConfigError."""
    match environ.get("LOG_FORMAT", ""):
        case "":
            return None
        case "json" | "text" as form:
            return form
        case _:
            raise ConfigError("LOG_FORMAT is `json` or `text`")


def _fixed_price(text: str, *, allowed: bool) -> BtcPrice | None:
    if not text:
        return None
    if not allowed:
        raise ConfigError("BTC_USD fixes the bitcoin price: unset it, or set `allow_fixed_price: true` in config.yaml")
    try:
        usd = Decimal(text)
        if usd.is_finite() and usd > 0:
            return BtcPrice.from_usd(usd)
    except InvalidOperation:
        pass
    raise ConfigError("BTC_USD must be a number of dollars, as 98000")


def _url(name: str, text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ConfigError(f"{name} must start with http:// or https://")
    return text.rstrip("/")


def _ledger(env: Mapping[str, str]) -> Place:
    try:
        return place.place_of(env)
    except PlaceUnclear as error:
        raise ConfigError(str(error)) from error


def _base_url_name(api: str) -> str:
    return api.upper().replace("-", "_") + "_BASE_URL"


def _networks(texts: list[str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise ConfigError(f"limits.trusted_proxies: {error}") from error
