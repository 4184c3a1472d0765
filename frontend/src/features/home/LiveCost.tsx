import type { ReactNode } from "react";

import { aboutUsd } from "../../shared/money";
import { Bone } from "../../shared/ui/Bone";
import { ButtonLink } from "../../shared/ui/Button";
import { SatsOwned, SatsPrice } from "../../shared/ui/Sats";

export interface Cost {
  /** What the invoice asks for. */
  readonly mostMsat: number | null;
  readonly typicalMsat: number | null;
}

interface LiveCostProps {
  readonly title: string;
  readonly page: string;
  readonly cost: Cost;
  readonly bitcoinUsd: string | null;
  readonly loading: boolean;
}

/** What the call beside it costs at this moment: what is asked for, what is usual, what comes back. */
export function LiveCost({ title, page, cost, bitcoinUsd, loading }: LiveCostProps) {
  const { mostMsat, typicalMsat } = cost;
  const change = mostMsat === null || typicalMsat === null ? null : mostMsat - typicalMsat;
  return (
    <section
      aria-labelledby="live-cost"
      className="flex flex-col rounded-card border border-line bg-surface px-5 pt-4 pb-5"
    >
      <h2 id="live-cost" className="text-control font-semibold">
        What this call costs now
      </h2>
      <p className="text-meta text-ink2">{title}</p>
      <dl className="mt-3 grid">
        <Line name="The invoice asks for at most" loading={loading}>
          {mostMsat === null ? null : <SatsPrice msat={mostMsat} />}
        </Line>
        <Line name="Such a call typically costs" loading={loading}>
          {typicalMsat === null ? null : <SatsPrice msat={typicalMsat} />}
        </Line>
        <Line name="The rest stays yours" loading={loading}>
          {change === null ? null : <SatsOwned msat={change} />}
        </Line>
      </dl>
      <p className="mt-2 min-h-5 text-meta text-ink2">
        {typicalMsat === null || bitcoinUsd === null
          ? ""
          : `Typically ${aboutUsd(typicalMsat, bitcoinUsd)} at today's bitcoin price.`}
      </p>
      <p className="mt-auto pt-4 text-control text-ink2">
        If the call fails, you pay nothing. Your next call begins with the change.
      </p>
      <div className="mt-4 grid gap-2">
        <ButtonLink to={page} look="pay">
          Try it here
        </ButtonLink>
        <ButtonLink to={`${page}?tab=examples`}>Python, JavaScript, more</ButtonLink>
      </div>
    </section>
  );
}

interface LineProps {
  readonly name: string;
  readonly loading: boolean;
  readonly children: ReactNode;
}

function Line({ name, loading, children }: LineProps) {
  return (
    <div className="flex items-baseline justify-between gap-4 border-t border-line py-2.5 text-control">
      <dt className="text-ink2">{name}</dt>
      <dd className="font-medium">
        {children ?? (loading ? <Bone className="h-4 w-16" /> : "no price now")}
      </dd>
    </div>
  );
}
