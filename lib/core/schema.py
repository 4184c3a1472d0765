"""What config.yaml may say. Field docstrings become the editor's schema (docs/config.schema.json)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lib.core.money import MILLION
from lib.core.tokens import Vocabulary
from lib.core.units import Unit

API_NAME = r"^[a-z][a-z0-9-]{0,31}$"
RESERVED_API_NAMES = frozenset(
    {"api", "topup", "v1", "metrics", "assets", "docs", "catalog", "status", "account", "openapi", "llms", "well-known"}
)
Markup = Annotated[Decimal | None, Field(gt=0)]
Minimum = Annotated[int | None, Field(ge=0)]
Usd = Annotated[Decimal, Field(ge=0, max_digits=18)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
ImageSize = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]
SECONDS_PER_MINUTE = 60


def _as_json(value: object) -> object:
    """Numbers as JSON has them: what we read as exact decimals for the sake of prices is no number to others."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {name: _as_json(member) for name, member in cast("dict[str, object]", value).items()}
        case list():
            return [_as_json(member) for member in cast("list[object]", value)]
        case _:
            return value


Json = Annotated[dict[str, Any], BeforeValidator(_as_json)]
"""An object that is sent, shown or compiled as JSON."""


class Strict(BaseModel):
    """Immutable; a key that is not here is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=False)


class TokenPrices(Strict):
    """What upstream asks, in USD per million tokens, before our markup."""

    input: Usd
    """Input tokens."""
    output: Usd
    """Output tokens."""
    cached_input: Usd | None = None
    """Input tokens that upstream read from its prompt cache. Default: the input price."""
    cache_write: Usd | None = None
    """Input tokens that upstream wrote into its prompt cache. Default: the input price."""
    image_input: Usd | None = None
    """Input tokens of images, where they have a price of their own. Default: the input price."""
    reasoning: Usd | None = None
    """Output tokens that are thought and not shown. Default: the output price."""


class LongContext(TokenPrices):
    """Prices of the whole request once its input is longer than `above` tokens."""

    above: Positive
    """Input tokens up to which the ordinary prices hold."""


class FlatPrice(Strict):
    """One price per delivered answer, whatever it used. Give one of the two."""

    sats: Positive | None = None
    """Whole satoshi."""
    usd: Usd | None = None
    """Dollars, converted at the current bitcoin price. The markup does not apply to a flat price."""

    @model_validator(mode="after")
    def _one(self) -> FlatPrice:
        if (self.sats is None) == (self.usd is None):
            raise ValueError("a flat price is either `sats` or `usd`")
        if self.usd is not None and self.usd == 0:
            raise ValueError("a flat price must be above zero")
        return self


class PatchVision(Strict):
    """Images are billed by patches of 32 × 32 pixels."""

    rule: Literal["patch"]
    """By patches."""
    multiplier: Annotated[Decimal, Field(gt=0)]
    """Tokens per patch."""
    budget: Positive | None = None
    """Patches an image has at most: a larger one is scaled down. Default: there is no such limit."""


class TileVision(Strict):
    """Images are scaled, then billed by tiles of 512 × 512 pixels."""

    rule: Literal["tile"]
    """By tiles."""
    base: Count
    """Tokens of every image; all of them if its `detail` is `low`."""
    tile: Count
    """Tokens per tile."""
    short_side: Positive = 768
    """Pixels of the shorter side after scaling."""
    square: Positive = 2048
    """Pixels of the longer side at most."""


class AreaVision(Strict):
    """Images are billed by their area."""

    rule: Literal["area"]
    """By area."""
    pixels_per_token: Positive
    """Pixels that make one token."""
    most: Positive
    """Tokens of an image at most: a larger one is scaled down."""


Vision = Annotated[PatchVision | TileVision | AreaVision, Field(discriminator="rule")]


ImageTable = Annotated[
    dict[Literal["low", "medium", "high", "xhigh", "max"], Annotated[dict[ImageSize, Positive], Field(min_length=1)]],
    Field(min_length=1),
]


class Speech(Strict):
    """Bounds on speech that is billed by tokens, which nobody knows before it is spoken."""

    most_tokens_per_character: Positive
    """Output tokens per character at most: the slowest way to speak."""
    usual_tokens_per_character: Annotated[Decimal, Field(gt=0)]
    """Output tokens per character as a rule, for typical prices."""


class Model(Strict):
    """One model of an endpoint, with its price and limits."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    """The name buyers send; sent upstream unchanged."""
    tokens: TokenPrices | None = None
    """Metered by tokens."""
    long_context: LongContext | None = None
    """Dearer prices for long inputs, if upstream has them."""
    per_call: Usd | None = None
    """Dollars for each answer beside its tokens, before our markup."""
    per_minute: Usd | None = None
    """Dollars for each minute of a recording, billed by the second, before our markup."""
    per_million_characters: Usd | None = None
    """Dollars for each million characters read aloud, before our markup."""
    flat: FlatPrice | None = None
    """Priced per call instead. `tokens` may stand beside it to tell what a call costs the operator."""
    vision: Vision | None = None
    """How many tokens an image in the input can be. Default: images are not sold with this model."""
    own_prices: str | None = None
    """Why these prices are lower than what others say the provider asks, as a contract. `scripts/prices` then tells it
    instead of failing."""
    images: ImageTable | None = None
    """Output tokens of one drawn image, by quality, then by size. What is not in this table is not sold."""
    speech: Speech | None = None
    """How many output tokens a text that is read aloud can be, where speech is billed by tokens."""
    markup: Markup = None
    """Factor on upstream's prices; default: the endpoint's."""
    minimum_msat: Minimum = None
    """What a metered answer costs at least; default: the endpoint's."""
    tokenizer: Vocabulary | None = None
    """The public vocabulary with which upstream counts this model's tokens, where there is one: the input of a call is
    then bound by its tokens. Default: by its bytes, of which there are about four in an English token."""
    context: Positive | None = None
    """Tokens the model can read and write in all, where it counts tokens."""
    max_output: Count = 0
    """The largest output cap, in tokens: a larger one counts as this. 0 where nothing is written, as for embeddings."""
    default_max_output: Count = 0
    """The output cap of a request that names none. Large enough for a reasoning model to answer."""
    forced: Json = {}
    """Fields sent upstream with this value for this model, beside what the endpoint forces."""
    fixed: Json = {}
    """Fields that this model lets nobody choose, each with the one value that a buyer may say; null: none. They are not
    sent on."""
    shutdown: date | None = None
    """The day upstream turns the model off. From that day on it is not sold."""

    @model_validator(mode="after")
    def _priced(self) -> Model:
        if self.flat is None and self.tokens is None and not self.apart():
            raise ValueError(f"model {self.id} has no price: give `tokens`, one of `per_…` or `flat`")
        if self.default_max_output > self.max_output:
            raise ValueError(f"model {self.id}: default_max_output must not exceed max_output")
        return self

    def output_is_open(self, protocol: str) -> bool:
        """Nothing bounds the tokens of what it draws or speaks."""
        return {"images": self.images, "speech": self.speech}.get(protocol, True) is None

    def apart(self) -> dict[Unit, Decimal]:
        """Dollars for one unit of what is billed beside tokens."""
        minute, characters = self.per_minute, self.per_million_characters
        prices = {
            Unit.CALL: self.per_call,
            Unit.SECOND: None if minute is None else minute / SECONDS_PER_MINUTE,
            Unit.CHARACTER: None if characters is None else characters / MILLION,
        }
        return {unit: usd for unit, usd in prices.items() if usd is not None}


class OutputCap(Strict):
    """Which fields bound the length of an answer."""

    fields: Annotated[list[str], Field(min_length=1)]
    """Fields a buyer may use; two that differ are refused."""
    inject: str
    """The field that upstream is sent: the buyer's cap, whichever field it came in, or the default."""


class Request(Strict):
    """The validation rules of an endpoint's body. What is not allowed here is refused, before any invoice."""

    properties: Json
    """JSON Schema (2020-12) of each allowed field."""
    required: list[str] = []
    """Fields without which the request is refused with `missing_required_field`."""
    required_in_json: list[str] = []
    """The same for a JSON body where a form has files instead."""
    refused: dict[str, str] = {}
    """Fields we will not sell, each with the sentence that the buyer is told."""
    forced: Json = {}
    """Fields sent upstream with this value whatever the buyer sent."""
    identity: list[str] = []
    """Fields overwritten with a keyed hash of the buyer's account, so that upstream can tell buyers apart.

    `metadata.user_id` is the member `user_id` of the field `metadata`.
    """
    dropped: list[str] = []
    """Fields accepted and not sent on."""
    output_cap: OutputCap | None = None
    """How the length of an answer is bounded; none where nothing is written."""
    answers: str | None = None
    """The field that asks for several answers (`n`), if the endpoint has one."""


class E2e(Strict):
    """How the end-to-end script proves an endpoint."""

    required_field: str
    """The field whose absence must give 400 `missing_required_field`."""
    invalid: Json
    """Fields merged into the example that must give 400."""
    keyword: str
    """A word the happy answer must contain."""


class Example(Strict):
    """One request that works: shown on the site, run by the end-to-end script."""

    content_type: Literal["json", "multipart"]
    """How the example is sent."""
    body: Json | None = None
    """The JSON body."""
    fields: Json | None = None
    """The fields of a multipart body; a value `@name` is a sample file."""
    e2e: E2e
    """How it is tested."""

    @property
    def model(self) -> object:
        """The model that it asks for, if it names one."""
        return (self.body or self.fields or {}).get("model")

    @model_validator(mode="after")
    def _one(self) -> Example:
        if (self.body is None) == (self.fields is None) or (self.content_type == "json") != (self.body is not None):
            raise ValueError("an example of content_type json has `body`, one of multipart has `fields`")
        return self


class Typical(Strict):
    """The call that "typical price" speaks of."""

    input_tokens: Positive = 500
    """Tokens read."""
    output_tokens: Count = 300
    """Tokens written, or drawn."""
    seconds: Count = 0
    """Seconds of a recording."""
    characters: Count = 0
    """Characters read aloud."""


class FileField(Strict):
    """A field of a form that holds files."""

    kind: Literal["audio", "image"]
    """What they must be; how long or how large they are is measured before anything is invoiced."""
    required: bool = False
    """Whether a form without it is refused with `missing_required_field`."""
    max_count: Positive = 1
    """Files of that name in one form."""
    max_bytes: Positive = 26_214_400
    """Size of each file."""


class Endpoint(Strict):
    """One thing that is sold."""

    method: Literal["POST"] = "POST"
    """HTTP method."""
    path: Annotated[str, Field(pattern=r"^/v1/[a-z0-9/_-]+$")]
    """The path below `/{api}`; the default API answers on it directly, too."""
    upstream_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/_.-]+$")]
    """The path below the API's base_url."""
    title: str
    """For people."""
    content_type: Literal["json", "multipart", "json_or_multipart"] = "json"
    """How the body is sent. A form's fields follow the same rules as a JSON body."""
    files: dict[str, FileField] = {}
    """The files of a form, by their field."""
    protocol: Literal[
        "chat_completions",
        "responses",
        "messages",
        "embeddings",
        "decisions",
        "json",
        "speech",
        "transcription",
        "images",
    ]
    """How it is asked and how its answers are metered: docs/architecture.md."""
    streaming: bool = False
    """Whether `stream: true` is sold."""
    stream_options: bool = True
    """Whether a stream's usage must be asked for; false where upstream sends it anyway and refuses the question."""
    reasoning_apart: bool = False
    """Whether upstream counts thinking beside `completion_tokens`, not in it: what was written is then what
    `total_tokens` leaves beside the prompt. For the protocol chat_completions."""
    private_usage: list[str] = []
    """Members of `usage` that buyers are not shown: what we pay, for one."""
    markup: Markup = None
    """Factor on upstream's prices; default: the API's."""
    minimum_msat: Minimum = None
    """What a metered answer costs at least; default: the API's."""
    max_body_bytes: Positive = 1_048_576
    """The largest JSON body."""
    max_upload_bytes: Positive = 27_262_976
    """The largest form with its files."""
    max_reply_bytes: Positive = 33_554_432
    """The largest answer; a longer one is cut. A streamed text that is cut so costs its usage all the same."""
    request: Request
    """The validation rules."""
    typical: Typical = Typical()
    """The call shown as typical."""
    models: Annotated[list[Model], Field(min_length=1)]
    """What can be asked for."""
    example: Example
    """A request that works."""

    @model_validator(mode="after")
    def _unique(self) -> Endpoint:
        if (self.content_type == "json") != (not self.files):
            raise ValueError(f"{self.path}: `files` belong to content_type multipart or json_or_multipart, and to it")
        ids = [model.id for model in self.models]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{self.path}: two models have the same id")
        if self.protocol != "chat_completions" and (self.reasoning_apart or not self.stream_options):
            raise ValueError(f"{self.path}: `reasoning_apart` and `stream_options` are for protocol chat_completions")
        if "model" not in self.request.properties and len(ids) > 1:
            raise ValueError(f"{self.path}: without the field `model` in request.properties only one model can be sold")
        for model in self.models:
            if model.tokens is not None and model.tokens.output and model.output_is_open(self.protocol):
                raise ValueError(f"{self.path}: {model.id} needs `images` or `speech`, which bound what it can cost")
            if (self.request.output_cap is None) != (model.default_max_output == 0):
                raise ValueError(
                    f"{self.path}: {model.id} must have default_max_output exactly if request.output_cap is given"
                )
        return self


class Auth(Strict):
    """How an upstream wants its key."""

    header: str = "Authorization"
    """Header that carries the key."""
    prefix: str = "Bearer "
    """Text before the key."""


class Api(Strict):
    """One provider."""

    title: str
    """For people."""
    default: bool = False
    """Whether its endpoints also answer without the `/{api}` prefix, so that `base_url=https://host/v1` works."""
    base_url: Annotated[str, Field(pattern=r"^https?://")]
    """Upstream address. The environment's `<API NAME>_BASE_URL` overrides it."""
    api_key_env: str
    """The environment variable with our upstream key; without it the API is not sold."""
    auth: Auth = Auth()
    """How upstream wants the key."""
    headers: dict[str, str] = {}
    """More headers for upstream."""
    markup: Markup = None
    """Factor on upstream's prices; default: the global one."""
    minimum_msat: Minimum = None
    """What a metered answer costs at least; default: the global one."""
    check_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9/_.-]+)?$")] = "/models"
    """What is asked for once a minute to learn whether upstream is there and our key works (GET); empty: nothing."""
    not_sold: dict[Annotated[str, Field(pattern=r"^/v1/[a-z0-9/_-]+$")], str] = {}
    """Paths (and all below them) that people look for and we do not sell, each with the sentence that says why."""
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    """What is sold."""

    @model_validator(mode="after")
    def _unique(self) -> Api:
        places = [(endpoint.method, endpoint.path) for endpoint in self.endpoints]
        if len(set(places)) != len(places):
            raise ValueError("two endpoints have the same method and path")
        return self


class PriceFeed(Strict):
    """Where the bitcoin price comes from: the median of several public sources."""

    refresh_seconds: Annotated[float, Field(gt=0)] = 60
    """How often the sources are asked."""
    max_age_seconds: Annotated[float, Field(gt=0)] = 600
    """An older price is not used: calls answer 503 `rate_unavailable`."""
    quorum: Positive = 2
    """Sources that must agree."""
    max_deviation: Annotated[Decimal, Field(gt=0, lt=1)] = Decimal("0.02")
    """A source farther from the median than this share is ignored."""
    max_jump: Annotated[Decimal, Field(gt=0, lt=1)] = Decimal("0.10")
    """A price that moved more than this share since the last one must be seen twice."""


class Topup(Strict):
    """Prepaid balances."""

    enabled: bool = True
    """Whether balances can be topped up."""
    min_sats: Positive = 100
    """Smallest top-up."""
    max_sats: Positive = 1_000_000
    """Largest top-up."""
    bare_claim_max_sats: Annotated[int, Field(ge=0)] = 10_000
    """Largest top-up that its bare preimage may claim; 0 switches such claims off."""


class Limits(Strict):
    """Bounds on work, time and trust.

    What is counted per minute is counted by all processes together where they share a ledger in PostgreSQL or
    Supabase, and is 503 `ledger_unavailable` while that ledger is down. Everything else is each process's own.
    """

    unpaid_per_ip_per_minute: Positive = 60
    """Unpaid requests from one address."""
    unpaid_per_network_per_minute: Positive = 240
    """Unpaid requests from one /24 (IPv4) or /48 (IPv6)."""
    unpaid_uploads_per_ip_per_minute: Positive = 20
    """Unpaid forms with files from one address: each is read and measured before it can be invoiced."""
    unpaid_uploads_per_network_per_minute: Positive = 80
    """The same from one /24 (IPv4) or /48 (IPv6)."""
    upload_space_bytes: Positive = 1_073_741_824
    """Disk space that uploads may take at once in one process; half of it for those who have proven nothing."""
    upload_seconds: Annotated[float, Field(gt=0)] = 300
    """To receive a form with files."""
    invoices_per_minute: Positive = 600
    """Invoices made for everybody together; the node keeps each one for ever."""
    differences_per_account_per_minute: Positive = 30
    """Invoices made for one account's differences and refills."""
    trusted_proxies: list[str] = []
    """Addresses or networks whose X-Forwarded-For is believed. `uvicorn server:app` believes 127.0.0.1 besides."""
    invoice_expiry_seconds: Annotated[int, Field(ge=60, le=86_400)] = 600
    """How long an invoice can be paid."""
    quote_grace_seconds: Annotated[int, Field(ge=0)] = 3_600
    """How long after the invoice's expiry the quoted price still holds for the first answer."""
    unconfirmed_max_sats: Positive = 10_000
    """A payment above this is credited only after the node confirmed it."""
    unconfirmed_total_max_sats: Positive = 100_000
    """Once so much is credited without the node's word, it is asked first."""
    body_seconds: Annotated[float, Field(gt=0)] = 60
    """To receive a request's body."""
    connect_seconds: Annotated[float, Field(gt=0)] = 10
    """To reach upstream."""
    idle_seconds: Annotated[float, Field(gt=0)] = 600
    """Between two pieces of a streamed answer. Models are silent while they think, and what is cut then nobody pays."""
    total_seconds: Annotated[float, Field(ge=600)] = 1_800
    """From sending a request upstream to the end of its answer, whether the buyer still listens or not."""
    slowest_tokens_per_second: Annotated[float, Field(gt=0)] = 20
    """No model is slower. An output cap that could not be reached within total_seconds at this pace is refused."""
    kept_answer_seconds: Positive = 600
    """How long an answer that was paid and could not be delivered is kept for its buyer."""
    idempotency_seconds: Positive = 86_400
    """How long the answer to an `Idempotency-Key` is kept."""
    idempotency_max_bytes: Positive = 1_048_576
    """A larger answer that was delivered is not kept: repeating its `Idempotency-Key` is refused, not charged again."""
    send_seconds: Annotated[float, Field(gt=0)] = 30
    """For the buyer to take the next piece; after that it counts as gone."""
    concurrent_calls: Positive = 1_000
    """Paid calls running at once in one process, whatever others run: several processes serve as many times that."""
    drain_seconds: Positive = 60
    """How long running calls go on after SIGTERM. What runs then is cut, settled and ended as if upstream had died.

    `uvicorn server:app` has its own option for it: --timeout-graceful-shutdown.
    """


class StopLoss(Strict):
    """When to stop selling at a loss. USD in a window; a loss is an unpaid or under-priced call."""

    window_seconds: Positive = 3_600
    """The window."""
    per_account_usd: Usd = Decimal(1)
    """One account's losses after which it is refused."""
    per_model_usd: Usd = Decimal(5)
    """One model's losses after which it is off sale."""
    max_upstream_usd_per_hour: Usd = Decimal(50)
    """Spending at upstream per hour after which nothing is sold."""
    max_upstream_usd_per_day: Usd = Decimal(500)
    """Spending at upstream per day after which nothing is sold."""


class Moderation(Strict):
    """A provider's moderation that reads every paid request before anything is held for it."""

    api: str
    """The API that is asked, by its name in `apis`; its key must be set."""
    upstream_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/_.-]+$")] = "/moderations"
    """The path below its base_url, asked as OpenAI's moderations are."""
    model: str = "omni-moderation-latest"
    """The model that judges."""
    categories: list[str] = []
    """Categories that are not served. Default: whatever it flags."""
    seconds: Annotated[float, Field(gt=0)] = 5
    """How long its verdict is waited for."""
    when_down: Literal["closed", "open"] = "closed"
    """Without a verdict a call is refused with 503 (`closed`), or served (`open`)."""


class Blocklist(Strict):
    """What no request may hold: it is refused with 400 `content_blocked`, before any invoice."""

    words: list[str] = []
    """Words and phrases, found as a whole and in any case."""
    patterns: list[str] = []
    """Regular expressions, in any case. They run over buyers' texts: none that backtracks without end."""
    file: str | None = None
    """A file with more words, one a line; `#` begins a comment. Its path is relative to config.yaml."""


class Config(Strict):
    """config.yaml as a whole."""

    title: str = "alittlebitofmoney"
    """The name of this service, in invoices and on its pages."""
    markup: Annotated[Decimal, Field(gt=0)] = Decimal("1.30")
    """Factor on upstream's prices: what the operator earns."""
    minimum_msat: Count = 0
    """What a metered answer costs at least, in millisatoshi."""
    allow_loss: bool = False
    """Permit a markup below 1."""
    allow_fixed_price: bool = False
    """Permit `BTC_USD` outside the demo."""
    btc_price: PriceFeed = PriceFeed()
    """The bitcoin price."""
    topup: Topup = Topup()
    """Prepaid balances."""
    limits: Limits = Limits()
    """Bounds."""
    stop_loss: StopLoss = StopLoss()
    """When to stop selling."""
    shared: dict[str, Any] = {}
    """Whatever several endpoints have in common, to be named by YAML's anchors. Nothing reads it from here."""
    moderation: Moderation | None = None
    """An optional gate before paid calls. Default: none."""
    blocklist: Blocklist = Blocklist()
    """What is not served. Default: nothing is refused."""
    apis: Annotated[dict[Annotated[str, Field(pattern=API_NAME)], Api], Field(min_length=1)]
    """What is sold, by API name."""

    @model_validator(mode="after")
    def _sane(self) -> Config:
        for name, api in self.apis.items():
            if name in RESERVED_API_NAMES:
                raise ValueError(f"`{name}` is reserved; name the API otherwise")
            if not self.allow_loss and any(markup < 1 for markup in self._markups(api)):
                raise ValueError("a markup below 1 sells at a loss: raise it, or set allow_loss: true")
        self._caps_can_finish()
        if self.moderation is not None and self.moderation.api not in self.apis:
            raise ValueError(f"moderation.api: `{self.moderation.api}` is not among the apis")
        if sum(api.default for api in self.apis.values()) > 1:
            raise ValueError("only one API can be `default: true`")
        return self

    def _markups(self, api: Api) -> list[Decimal]:
        """Every factor that is said for an API."""
        said = [api.markup, *(endpoint.markup for endpoint in api.endpoints)]
        said += [model.markup for endpoint in api.endpoints for model in endpoint.models]
        return [self.markup, *(markup for markup in said if markup is not None)]

    def _caps_can_finish(self) -> None:
        """An answer that we would have to cut is not for sale."""
        longest = int(self.limits.total_seconds * self.limits.slowest_tokens_per_second)
        for name, api in self.apis.items():
            for model in (model for endpoint in api.endpoints for model in endpoint.models):
                if model.max_output > longest:
                    raise ValueError(
                        f"{name}: {model.id} cannot write max_output {model.max_output} within limits.total_seconds: "
                        f"at most {longest} (total_seconds × slowest_tokens_per_second)"
                    )
