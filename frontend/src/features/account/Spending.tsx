import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { exactMsat, grouped } from "../../shared/money";
import { Bone } from "../../shared/ui/Bone";
import { Button } from "../../shared/ui/Button";
import { dayText } from "../../shared/time";
import { SatsPrice } from "../../shared/ui/Sats";
import { Bars } from "./Bars";
import { SHOWN_DAYS, type Spent, fetchSince, spentByDay, spentByModel } from "./usage";

const DAY_MS = 86_400_000;

/** What was spent in the last thirty days, by day and by model, as bars and as a table. */
export function Spending({ authorization }: { readonly authorization: string }) {
  const [asTable, setAsTable] = useState(false);
  const { data, error } = useQuery({
    queryKey: ["balance", "spending", authorization],
    queryFn: async ({ signal }) => {
      const now = Date.now();
      const entries = await fetchSince(authorization, now - SHOWN_DAYS * DAY_MS, signal);
      return { days: spentByDay(entries, now), models: spentByModel(entries) };
    },
  });
  return (
    <section aria-labelledby="spending-title" className="grid min-w-0 gap-4">
      <div className="flex items-center justify-between gap-4">
        <h2 id="spending-title" className="text-h2 font-semibold">
          Spent in {SHOWN_DAYS} days
        </h2>
        {data === undefined ? null : (
          <Button look="plain" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
            As a table
          </Button>
        )}
      </div>
      {data === undefined ? (
        error === null ? (
          <Bone className="h-40 w-full" />
        ) : (
          <p className="text-note text-ink2">It cannot be shown right now: {error.message}</p>
        )
      ) : asTable ? (
        <SpentTable days={data.days} models={data.models} />
      ) : (
        <SpentBars days={data.days} models={data.models} />
      )}
    </section>
  );
}

interface SpentProps {
  readonly days: readonly Spent[];
  readonly models: readonly Spent[];
}

function SpentBars({ days, models }: SpentProps) {
  const total = days.reduce((sum, { msat }) => sum + msat, 0);
  if (total === 0 && models.length === 0) {
    return <p className="text-control text-ink2">Nothing yet. Calls show here as soon as they are paid.</p>;
  }
  return (
    <div className="grid gap-6 rounded-card border border-line bg-surface p-4 sm:p-5">
      <div>
        <p className="text-note text-ink2">
          Together <SatsPrice msat={total} />
        </p>
        <Bars bars={days} name={`Sats spent on each of the last ${SHOWN_DAYS} days`} />
        <p className="flex justify-between text-meta text-ink3">
          <span>{days[0] === undefined ? "" : dayText(Date.parse(days[0].name), "UTC")}</span>
          <span>today</span>
        </p>
      </div>
      <Models models={models} />
    </div>
  );
}

function Models({ models }: { readonly models: readonly Spent[] }) {
  const most = models[0]?.msat ?? 0;
  return (
    <ul className="grid gap-2" aria-label="By model">
      {models.slice(0, 8).map(({ name, msat, calls }) => (
        <li key={name} className="grid gap-1 text-note">
          <span className="flex justify-between gap-4">
            <span className="min-w-0 wrap-anywhere">{name}</span>
            <span className="whitespace-nowrap">
              <span className="text-ink2">
                {calls === 1 ? "1 call" : `${grouped(String(calls))} calls`} ·{" "}
              </span>
              <SatsPrice msat={msat} />
            </span>
          </span>
          <span aria-hidden="true" className="block h-1.5 rounded-chip bg-sunken">
            <span
              className="block h-full rounded-chip bg-ink2"
              style={{ width: `${most === 0 ? 0 : Math.max(1, (msat / most) * 100)}%` }}
            />
          </span>
        </li>
      ))}
    </ul>
  );
}

function SpentTable({ days, models }: SpentProps) {
  const rows = [
    ...models.map((spent) => ({ ...spent, kind: "Model" })),
    ...days.toReversed().map((spent) => ({ ...spent, kind: "Day" })),
  ];
  return (
    <div className="max-h-96 overflow-y-auto rounded-card border border-line bg-surface">
      <table className="w-full text-note tabular-nums">
        <caption className="sr-only">Spent by model and by day</caption>
        <thead>
          <tr className="border-b border-line text-left text-ink2">
            <th scope="col" className="px-4 py-2 font-medium">
              Model or day
            </th>
            <th scope="col" className="px-4 py-2 text-right font-medium">
              Calls
            </th>
            <th scope="col" className="px-4 py-2 text-right font-medium">
              Spent
            </th>
          </tr>
        </thead>
        <tbody>
          {rows
            .filter(({ calls }) => calls > 0)
            .map(({ kind, name, calls, msat }) => (
              <tr key={`${kind} ${name}`} className="border-b border-line last:border-b-0">
                <th scope="row" className="px-4 py-2 text-left font-normal wrap-anywhere">
                  {name}
                </th>
                <td className="px-4 py-2 text-right">{grouped(String(calls))}</td>
                <td className="px-4 py-2 text-right whitespace-nowrap">{exactMsat(msat)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}
