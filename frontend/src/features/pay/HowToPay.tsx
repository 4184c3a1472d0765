import type { ReactNode } from "react";

import { Bone } from "../../shared/ui/Bone";
import { CodeBlock } from "../../shared/ui/CodeBlock";
import { SatsPrice } from "../../shared/ui/Sats";
import { type PayableExample, payCommands } from "./curl";

interface HowToPayProps {
  /** "loading" holds the place of the commands; null means that there is nothing to show them with. */
  readonly example: PayableExample | "loading" | null;
  readonly origin: string;
}

/** Buying one call in three steps. Without an example the steps are told and the commands left out. */
export function HowToPay({ example, origin }: HowToPayProps) {
  if (example === null) return <Steps seller="the API" />;
  if (example === "loading") return <Steps seller="the API" code={BONES} />;
  const commands = payCommands(example, origin);
  const code = [
    <CodeBlock key="request" name="request" code={commands.request} />,
    <CodeBlock key="proof" name="proof of payment" code={commands.proof} />,
    <CodeBlock key="paid" name="paid request" code={commands.paidRequest} />,
  ] as const;
  return <Steps seller={example.seller} typicalMsat={example.typicalMsat} code={code} />;
}

// As high as the commands that take their place.
const BONES = [
  <Bone key="request" className="h-60 rounded-card! bg-sunken!" />,
  <Bone key="proof" className="h-28 rounded-card! bg-sunken!" />,
  <Bone key="paid" className="h-40 rounded-card! bg-sunken!" />,
] as const;

interface StepsProps {
  readonly seller: string;
  readonly typicalMsat?: number | null;
  /** One block per step. */
  readonly code?: readonly [ReactNode, ReactNode, ReactNode];
}

function Steps({ seller, typicalMsat = null, code }: StepsProps) {
  return (
    <ol className={`border-t border-line ${code === undefined ? "gap-x-12 md:grid md:grid-cols-3" : ""}`}>
      <Step number={1} title="Send the request" code={code?.[0]}>
        The same one you would send to {seller}. The answer is <Term>402 Payment Required</Term> with a
        Lightning <Term>invoice</Term> and a <Term>macaroon</Term>, a credential that works once you have
        paid.
        <Typical msat={typicalMsat} />
      </Step>
      <Step number={2} title="Pay the invoice" code={code?.[1]}>
        With any Lightning wallet. It gives you a <Term>preimage</Term>, which proves that you paid.
        {code === undefined ? null : " Copy it and the macaroon into these two lines."}
      </Step>
      <Step number={3} title="Send it again, paid" code={code?.[2]}>
        Now the answer comes from the model. The invoice covers the most the call can cost; what it does not
        use stays on the same macaroon and preimage and pays for your next call.
      </Step>
    </ol>
  );
}

interface StepProps {
  readonly number: number;
  readonly title: string;
  readonly children: ReactNode;
  readonly code: ReactNode;
}

function Step({ number, title, children, code }: StepProps) {
  const columns = code === undefined ? "md:border-b-0 md:pb-0" : "md:grid-cols-[minmax(0,5fr)_minmax(0,7fr)]";
  return (
    <li className={`grid gap-x-12 gap-y-4 border-b border-line py-6 ${columns}`}>
      <div className="flex gap-4">
        <span aria-hidden="true" className="w-4 shrink-0 font-mono text-note leading-6 text-ink3">
          {number}
        </span>
        <div>
          <h3 className="font-semibold">{title}</h3>
          <p className="mt-1 max-w-prose text-control text-ink2">{children}</p>
        </div>
      </div>
      {code === undefined ? null : <div className="min-w-0">{code}</div>}
    </li>
  );
}

function Term({ children }: { readonly children: ReactNode }) {
  return <span className="font-medium text-ink">{children}</span>;
}

function Typical({ msat }: { readonly msat: number | null }) {
  if (msat === null) return null;
  return (
    <>
      {" "}
      A typical call of this model costs{" "}
      <Term>
        <SatsPrice msat={msat} />
      </Term>
      .
    </>
  );
}
