import { type FormEvent, useState } from "react";

import type { Catalog } from "../../shared/api";
import { aboutUsd, grouped } from "../../shared/money";
import { usePaying } from "../../shared/payment";
import { Button } from "../../shared/ui/Button";
import { Field, Select, TextInput } from "../../shared/ui/Field";
import { PRESETS_SATS, type Unit, callsFor, chosen } from "./amounts";

interface TopupFormProps {
  readonly catalog: Catalog;
  /** The model that amounts are told in calls of, and what one typically costs. */
  readonly model: { readonly id: string; readonly typicalMsat: number } | null;
  /** Asked for an invoice of this body, about so many sats. */
  readonly onAmount: (body: string, sats: number) => void;
}

/** Choose an amount: one press on a preset makes the invoice. */
export function TopupForm({ catalog, model, onAmount }: TopupFormProps) {
  const { prepare } = usePaying();
  const { topup, btc_price } = catalog;
  const presets = PRESETS_SATS.filter((sats) => sats >= topup.min_sats && sats <= topup.max_sats);
  return (
    <div className="grid gap-6">
      <ul className="grid grid-cols-2 gap-3 md:grid-cols-4">
        {presets.map((sats) => (
          <li key={sats}>
            <button
              type="button"
              onClick={() => onAmount(JSON.stringify({ amount_sats: sats }), sats)}
              onPointerEnter={prepare}
              onFocus={prepare}
              className="grid h-full w-full content-start justify-items-start rounded-card border border-edge bg-surface p-4 text-left hover:border-accent hover:bg-accentsoft"
            >
              <span className="text-h2 font-semibold tabular-nums">
                {grouped(String(sats))} <span className="text-control font-normal text-ink2">sats</span>
              </span>
              {btc_price === null ? null : (
                <span className="text-note text-ink2">{aboutUsd(sats * 1_000, btc_price.usd)}</span>
              )}
              {model === null ? null : <Calls sats={sats} typicalMsat={model.typicalMsat} />}
            </button>
          </li>
        ))}
      </ul>
      {model === null ? null : (
        <p className="text-note text-ink2">
          Calls: typical ones of {model.id}. What you do not spend stays yours.
        </p>
      )}
      <OtherAmount catalog={catalog} onAmount={onAmount} />
    </div>
  );
}

function Calls({ sats, typicalMsat }: { readonly sats: number; readonly typicalMsat: number }) {
  const calls = callsFor(sats, typicalMsat);
  if (calls === null) return null;
  return <span className="text-note text-ink2">about {grouped(String(calls))} calls</span>;
}

function OtherAmount({ catalog, onAmount }: Pick<TopupFormProps, "catalog" | "onAmount">) {
  const [typed, setTyped] = useState("");
  const [unit, setUnit] = useState<Unit>("sats");
  const { body, sats, error } = chosen(typed, unit, catalog.btc_price?.usd ?? null, catalog.topup);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (body !== null && sats !== null) onAmount(body, sats);
  }

  return (
    <form onSubmit={submit} className="grid grid-cols-[1fr_7rem] items-start gap-3 sm:flex">
      <div className="sm:w-56">
        <Field
          label="Another amount"
          error={error}
          {...(unit === "USD" && sats !== null
            ? { hint: `${grouped(String(sats))} sats at this moment` }
            : {})}
        >
          {(tied) => (
            <TextInput
              {...tied}
              inputMode="decimal"
              autoComplete="off"
              placeholder={unit === "sats" ? "2 500" : "2.50"}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
      </div>
      <div className="sm:w-28">
        <Field label="Unit">
          {(tied) => (
            <Select
              {...tied}
              value={unit}
              onChange={(event) => setUnit(event.target.value === "USD" ? "USD" : "sats")}
            >
              <option value="sats">sats</option>
              <option value="USD">USD</option>
            </Select>
          )}
        </Field>
      </div>
      <Button type="submit" disabled={body === null} className="col-span-2 sm:mt-[26px]">
        Make invoice
      </Button>
    </form>
  );
}
