import type { ReactNode } from "react";

import type { Endpoint, Model, Price } from "../../shared/api";
import { aboutUsd, priceInUsd } from "../../shared/money";
import { compactCount, perText, typicalText } from "../../shared/prices";
import { Field, Select } from "../../shared/ui/Field";
import { SatsPrice } from "../../shared/ui/Sats";

interface CostAsideProps {
  readonly endpoint: Endpoint;
  readonly model: Model;
  /** Null where the model is chosen elsewhere. */
  readonly onModel: ((id: string) => void) | null;
  readonly bitcoinUsd: string | null;
  /** When the model ends, if it does, and whether it is paused. */
  readonly marks: ReactNode;
  /** The bitcoin price and its age. */
  readonly price: ReactNode;
}

/** What the chosen model costs here. */
export function CostAside({ endpoint, model, onModel, marks, bitcoinUsd, price }: CostAsideProps) {
  const hasChoice = onModel !== null && endpoint.models.length > 1;
  const { typical_price_msat: typical, context, max_output: longest } = model;
  return (
    <aside
      aria-labelledby="costs"
      className="rounded-card border border-line bg-surface px-4 pt-4 pb-4 md:px-5"
    >
      <div className="flex flex-wrap items-baseline justify-between gap-x-4">
        <h2 id="costs" className="text-control font-semibold">
          What it costs
        </h2>
        {hasChoice ? null : (
          <p className="text-note wrap-anywhere text-ink2">
            {model.id} {marks}
          </p>
        )}
      </div>
      <div className="mt-2 grid gap-3 md:mt-3 md:gap-4">
        {hasChoice ? (
          <Field label="Model" hint={marks ?? undefined}>
            {(tied) => (
              <Select {...tied} value={model.id} onChange={(event) => onModel(event.target.value)}>
                {endpoint.models.map(({ id }) => (
                  <option key={id} value={id}>
                    {id}
                  </option>
                ))}
              </Select>
            )}
          </Field>
        ) : null}
        <dl className="grid grid-cols-2 gap-x-6 border-t border-line md:grid-cols-1">
          <Line name="Typical call" note={typicalText(endpoint)}>
            <span className="font-medium">
              {typical === null ? "no price now" : <SatsPrice msat={typical} />}
            </span>
            {typical === null || bitcoinUsd === null ? null : (
              <span className="block text-meta whitespace-nowrap text-ink2">
                {aboutUsd(typical, bitcoinUsd)}
              </span>
            )}
          </Line>
          {listed(model.prices).map((line) => (
            <Line key={line.unit} name={unitText(line)} wide={MINOR.has(line.unit)}>
              <PricePair price={line} />
            </Line>
          ))}
          {context === null ? null : <Line name="Context">{tokens(context)}</Line>}
          {longest === null ? null : (
            <Line name="Longest answer" wide>
              {tokens(longest)}
            </Line>
          )}
        </dl>
        {price}
      </div>
    </aside>
  );
}

interface LineProps {
  readonly name: string;
  readonly note?: string | undefined;
  /** Left out on phones. */
  readonly wide?: boolean;
  readonly children: ReactNode;
}

function Line({ name, note, wide = false, children }: LineProps) {
  return (
    <div
      className={`border-b border-line py-2 text-note md:flex md:items-baseline md:justify-between md:gap-4 ${wide ? "hidden" : ""}`}
    >
      <dt className="text-ink2">
        {name}
        {note === undefined ? null : <span className="hidden text-meta text-ink3 md:block">{note}</span>}
      </dt>
      <dd className="tabular-nums md:text-right">{children}</dd>
    </div>
  );
}

function PricePair({ price }: { readonly price: Price }) {
  return (
    <>
      {price.usd === null ? null : <span className="block">{priceInUsd(price.usd)}</span>}
      {price.msat === null ? null : (
        <span className={price.usd === null ? "" : "text-meta text-ink2"}>
          <SatsPrice msat={price.msat} />
        </span>
      )}
    </>
  );
}

/** What phones leave out. */
const MINOR: ReadonlySet<string> = new Set(["cached_input_token", "cache_write_token", "reasoning_token"]);

const UNIT_TEXTS: Readonly<Record<string, string>> = {
  input_token: "Input",
  cached_input_token: "Cached input",
  cache_write_token: "Cache write",
  image_input_token: "Image input",
  output_token: "Output",
  reasoning_token: "Reasoning",
};

/** Lines that say something: no output price of nothing, no cache price that is the input's. */
function listed(prices: readonly Price[]): readonly Price[] {
  const input = prices.find(({ unit }) => unit === "input_token");
  return prices.filter(
    ({ unit, usd }) => usd !== "0" && !(unit.startsWith("cache") && usd !== null && usd === input?.usd),
  );
}

function unitText(price: Price): string {
  const noun = UNIT_TEXTS[price.unit];
  const text = noun === undefined ? perText(price) : `${noun}, ${compactCount(price.per)}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function tokens(count: number): string {
  return `${count.toLocaleString("en").replaceAll(",", "\u00a0")} tokens`;
}
