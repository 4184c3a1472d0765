import type { ReactNode } from "react";
import { Link } from "react-router";

interface SectionProps {
  /** What its address ends with. */
  readonly id: string;
  readonly title: string;
  readonly children: ReactNode;
}

/** A part of a page, with an address of its own. */
export function Section({ id, title, children }: SectionProps) {
  return (
    <section aria-labelledby={id} className="grid gap-4">
      <h2 id={id} className="group scroll-mt-6 text-h2 font-semibold">
        {title}
        <a
          href={`#${id}`}
          aria-label={`Link to ${title}`}
          className="ml-2 text-ink3 opacity-0 group-hover:opacity-100 focus:opacity-100"
        >
          #
        </a>
      </h2>
      {children}
    </section>
  );
}

export function P({ children }: { readonly children: ReactNode }) {
  return <p className="max-w-prose text-body text-ink2">{children}</p>;
}

/** A word that is explained where it stands. */
export function Term({ children }: { readonly children: ReactNode }) {
  return <strong className="font-medium text-ink">{children}</strong>;
}

export function Code({ children }: { readonly children: ReactNode }) {
  return (
    <code className="rounded-chip bg-sunken px-1 font-mono text-meta text-ink wrap-anywhere">{children}</code>
  );
}

export function PageLink({ to, children }: { readonly to: string; readonly children: ReactNode }) {
  return (
    <Link to={to} className="text-ink underline underline-offset-4">
      {children}
    </Link>
  );
}

/** A link to what the server answers, not to a page. */
export function ServerLink({ to, children }: { readonly to: string; readonly children: ReactNode }) {
  return (
    <a href={to} className="text-ink underline underline-offset-4">
      {children}
    </a>
  );
}

export function List({ children }: { readonly children: ReactNode }) {
  return <ul className="grid max-w-prose list-disc gap-2 pl-5 text-body text-ink2">{children}</ul>;
}

interface PairsProps {
  /** Left a case, right what is so in it. */
  readonly rows: readonly (readonly [ReactNode, ReactNode])[];
}

/** Cases and what is so in each. */
export function Pairs({ rows }: PairsProps) {
  return (
    <dl className="border-t border-line text-control">
      {rows.map(([left, right], index) => (
        // The rows are written down here and never change their order.
        // oxlint-disable-next-line react/no-array-index-key
        <div key={index} className="grid gap-x-8 gap-y-1 border-b border-line py-3 sm:grid-cols-[240px_1fr]">
          <dt className="font-medium">{left}</dt>
          <dd className="text-ink2">{right}</dd>
        </div>
      ))}
    </dl>
  );
}
