import { Link, useNavigate } from "react-router";

import type { Catalog } from "../../shared/api";
import { grouped } from "../../shared/money";
import { Refused } from "../../shared/request";
import { Button, ButtonLink } from "../../shared/ui/Button";
import { Notice } from "../../shared/ui/Notice";
import { SatsOwned } from "../../shared/ui/Sats";
import { useBalance } from "../../shared/wallet/balance";
import { unused } from "../../shared/wallet/funds";
import { TokenOnce } from "../../shared/wallet/TokenOnce";
import { maskedToken } from "../../shared/wallet/token";
import { useWallet } from "../../shared/wallet/wallet";
import { TopupForm } from "./TopupForm";
import { useTopup } from "./useTopup";

interface TopupProps {
  readonly catalog: Catalog;
  /** More sats for the token that is open, instead of a new one. */
  readonly refill: boolean;
}

/** Pay once and get a token; or refill the one that is open. */
export function Topup({ catalog, refill }: TopupProps) {
  const owned = useWallet();
  const token = refill ? owned.token : null;
  const { claimed, refilledSats, error, buy, claim, finish } = useTopup(token);
  const navigate = useNavigate();
  const model = exampleModel(catalog);
  const waiting = unused(owned).find(({ kind }) => kind === "topup");

  if (!catalog.topup.enabled) {
    return (
      <Notice
        look="warn"
        title="Top-up is switched off here"
        action={<ButtonLink to="/catalog">See what is sold</ButtonLink>}
      >
        Every call can still be paid by itself.
      </Notice>
    );
  }
  if (claimed !== null) {
    return (
      <TokenOnce
        made={claimed.made}
        keeps={owned.keepsToken}
        model={model?.id ?? "gpt-6-luna"}
        onDone={(keep) => {
          finish(keep);
          void navigate("/account");
        }}
      />
    );
  }
  return (
    <div className="grid gap-6">
      {error === null ? null : (
        <Notice look="bad" role="alert" title="The token was not made. Your payment is kept here">
          {error.message} {error instanceof Refused ? error.nextAction : ""}
        </Notice>
      )}
      {waiting === undefined ? null : (
        <Notice
          look="warn"
          title={`A top-up of ${grouped(String(waiting.amountSats))} sats is paid`}
          action={<Button onClick={() => void claim(waiting)}>Get the token</Button>}
        >
          Its token was not saved yet.
        </Notice>
      )}
      {refilledSats === null ? null : <Refilled sats={refilledSats} />}
      {token === null ? null : <Account token={token} />}
      {refill && token === null ? <NoToken /> : null}
      <TopupForm catalog={catalog} model={model} onAmount={(body, sats) => void buy(body, sats)} />
      {refill ? null : <Facts />}
    </div>
  );
}

const FACTS = [
  [
    "Goes where OpenAI’s key goes",
    "SDKs, Cursor, Aider, Codex, Claude Code, Open WebUI, LangChain: change the address, paste the token.",
  ],
  [
    "Charged to the thousandth of a sat",
    "A call holds the most it can cost and gives the rest back when it ends.",
  ],
  [
    "Shown once",
    "We keep only its fingerprint. Save it: nobody can give it back to you, and nobody else can spend it.",
  ],
] as const;

function Facts() {
  return (
    <dl className="grid gap-x-8 gap-y-6 border-t border-line pt-6 md:grid-cols-3">
      {FACTS.map(([name, says]) => (
        <div key={name}>
          <dt className="text-control font-semibold">{name}</dt>
          <dd className="mt-1 text-note text-ink2">{says}</dd>
        </div>
      ))}
    </dl>
  );
}

function Refilled({ sats }: { readonly sats: number }) {
  return (
    <p role="status" className="rounded-card border border-ok/30 bg-oksoft px-4 py-3 text-control text-ok">
      {grouped(String(sats))} sats are on your balance.{" "}
      <Link to="/account" className="underline underline-offset-4">
        See the account
      </Link>
    </p>
  );
}

function Account({ token }: { readonly token: string }) {
  const { data } = useBalance(token);
  return (
    <p className="text-control text-ink2">
      Token <span className="font-mono text-note">{maskedToken(token)}</span>
      {data === undefined ? null : (
        <>
          , which holds <SatsOwned msat={data.available_msat} />
        </>
      )}
      . Once the invoice is paid the balance grows by itself.
    </p>
  );
}

function NoToken() {
  return (
    <Notice
      look="warn"
      title="No token is open here"
      action={<ButtonLink to="/account">Open a token</ButtonLink>}
    >
      What you buy now comes with a new token. To refill one, open it first.
    </Notice>
  );
}

/** The model of the first example that has a typical price. */
function exampleModel({ apis }: Catalog) {
  for (const endpoint of apis.flatMap((api) => api.endpoints)) {
    const model = endpoint.models.find(({ id }) => id === endpoint.example?.body?.["model"]);
    if (model?.typical_price_msat) return { id: model.id, typicalMsat: model.typical_price_msat };
  }
  return null;
}
