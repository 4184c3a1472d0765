import { PageHeading } from "../../shared/ui/PageHeading";

/** What this is in one sentence, and the promise. */
export function Hero() {
  return (
    <div className="grid items-start gap-x-12 gap-y-8 pt-12 md:grid-cols-[minmax(0,7fr)_minmax(0,5fr)] md:pt-18">
      <div>
        <PageHeading title="" className="max-w-[18ch] text-h1 font-semibold text-balance md:text-home">
          OpenAI API calls, paid one at a time in sats.
        </PageHeading>
        <p className="mt-4 max-w-[52ch] text-body text-ink2">
          No account, no card, no subscription. Send an ordinary request, pay the Lightning invoice that comes
          back, and get the answer.
        </p>
        <div className="mt-6 flex flex-wrap gap-3">
          <JumpLink href="#prices">See what is sold</JumpLink>
          <JumpLink href="#pay">How to pay</JumpLink>
        </div>
      </div>
      <WhereSatsAre />
    </div>
  );
}

function JumpLink({ href, children }: { readonly href: string; readonly children: string }) {
  return (
    <a
      href={href}
      className="flex min-h-11 items-center rounded-control border border-edge bg-surface px-4 text-control font-medium hover:bg-sunken"
    >
      {children}
    </a>
  );
}

const PLACES = [
  { name: "Spent", where: "on an answer you received" },
  { name: "Yours", where: "a balance you can spend" },
  { name: "Held", where: "by a call still running" },
] as const;

function WhereSatsAre() {
  return (
    <section aria-labelledby="promise" className="rounded-card border border-line bg-surface px-5 pt-4 pb-2">
      <h2 id="promise" className="text-control font-semibold">
        No sat gets lost. Each is always:
      </h2>
      <dl className="mt-3">
        {PLACES.map(({ name, where }) => (
          <div key={name} className="flex gap-4 border-t border-line py-3 text-control">
            <dt className="w-16 shrink-0 font-medium">{name}</dt>
            <dd className="text-ink2">{where}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
