import { Link } from "react-router";

const PLACES = [
  { name: "Spent", where: "on an answer that was delivered to you" },
  { name: "Yours", where: "a balance that its owner can spend" },
  { name: "Held", where: "by a call that is running right now" },
] as const;

/** The promise about sats. */
export function WhereSatsAre() {
  return (
    <section
      aria-labelledby="promise"
      className="grid items-start gap-x-12 gap-y-4 rounded-card border border-line bg-surface px-5 py-5 md:grid-cols-2"
    >
      <div>
        <h2 id="promise" className="text-h2 font-semibold">
          No sat gets lost
        </h2>
        <p className="mt-2 max-w-prose text-control text-ink2">
          Every sat you pay is at all times one of three things, to the thousandth of a sat: when the call
          fails, the connection drops, you close the tab, or the server dies.{" "}
          <Link to="/docs/lost-sats" className="text-ink underline underline-offset-4">
            How that is done
          </Link>
        </p>
      </div>
      <dl>
        {PLACES.map(({ name, where }) => (
          <div key={name} className="flex gap-4 border-t border-line py-3 text-control first:border-t-0">
            <dt className="w-14 shrink-0 font-medium">{name}</dt>
            <dd className="text-ink2">{where}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
