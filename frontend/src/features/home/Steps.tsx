import type { ReactNode } from "react";
import { Link } from "react-router";

/** Buying one call in three steps. */
export function Steps() {
  return (
    <section aria-labelledby="steps">
      <h2 id="steps" className="text-h2 font-semibold">
        Three steps, no account
      </h2>
      <ol className="mt-4 grid border-t border-line md:grid-cols-3 md:gap-x-10">
        <Step number={1} title="Send the request">
          Any provider's ordinary request. The answer is <Term>402 Payment Required</Term> with an invoice and
          a <Term>macaroon</Term>: a credential that works once you have paid. A wrong request is refused
          before any invoice.
        </Step>
        <Step number={2} title="Pay the invoice">
          With any Lightning wallet. It gives you a <Term>preimage</Term>, which proves that you paid.
        </Step>
        <Step number={3} title="Send it again">
          With macaroon and preimage, and the model answers. The change pays for your next call on the same
          credential. For many calls, <PageLink to="/topup">top up once</PageLink> and use a token as the API
          key of any SDK.
        </Step>
      </ol>
    </section>
  );
}

interface StepProps {
  readonly number: number;
  readonly title: string;
  readonly children: ReactNode;
}

function Step({ number, title, children }: StepProps) {
  return (
    <li className="flex gap-4 border-b border-line py-5 md:border-b-0">
      <span aria-hidden="true" className="w-3 shrink-0 font-mono text-note leading-6 text-ink3">
        {number}
      </span>
      <div>
        <h3 className="font-semibold">{title}</h3>
        <p className="mt-1 max-w-prose text-control text-ink2">{children}</p>
      </div>
    </li>
  );
}

function Term({ children }: { readonly children: ReactNode }) {
  return <span className="font-medium text-ink">{children}</span>;
}

function PageLink({ to, children }: { readonly to: string; readonly children: ReactNode }) {
  return (
    <Link to={to} className="text-ink underline underline-offset-4">
      {children}
    </Link>
  );
}
