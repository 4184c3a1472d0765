import type { Parameters } from "../../shared/api";
import { Ticked } from "../../shared/ui/Ticked";
import { type Line, linesOf } from "./parameters";

/** Every field that may be sent, and every one that is known and refused. */
export function ParameterTable({ parameters }: { readonly parameters: Parameters }) {
  const refused = Object.entries(parameters.refused);
  return (
    <div className="grid gap-8">
      <div className="overflow-hidden rounded-card border border-line bg-surface">
        <table className="w-full border-collapse text-note">
          <caption className="sr-only">Parameters</caption>
          <thead className="border-b border-line text-left text-meta text-ink2">
            <tr>
              <Head>Name</Head>
              <Head wide>Type</Head>
              <Head wide>Limit</Head>
              <Head wide>Price</Head>
            </tr>
          </thead>
          <tbody>
            {linesOf(parameters).map((line) => (
              <ParameterLine key={line.name} line={line} />
            ))}
          </tbody>
        </table>
      </div>
      {refused.length === 0 ? null : (
        <section aria-labelledby="refused">
          <h2 id="refused" className="text-h2 font-semibold">
            Not sold
          </h2>
          <p className="mt-1 text-note text-ink2">
            Any other field is refused before an invoice is made. These are refused with a reason:
          </p>
          <dl className="mt-3 border-t border-line text-note">
            {refused.map(([name, why]) => (
              <div key={name} className="grid gap-x-6 border-b border-line py-2.5 sm:grid-cols-[200px_1fr]">
                <dt className="font-mono text-meta leading-5 wrap-anywhere">{name}</dt>
                <dd className="text-ink2">
                  <Ticked text={why} />
                </dd>
              </div>
            ))}
          </dl>
        </section>
      )}
    </div>
  );
}

interface HeadProps {
  readonly wide?: boolean;
  readonly children: string;
}

function Head({ wide = false, children }: HeadProps) {
  return (
    <th scope="col" className={`px-4 py-2 font-medium ${wide ? "hidden md:table-cell" : ""}`}>
      {children}
    </th>
  );
}

function ParameterLine({ line }: { readonly line: Line }) {
  const { name, required, type, limit, price, sentAs } = line;
  const folded = [type, limit, price].filter(Boolean).join(" · ");
  return (
    <tr className="border-b border-line align-top last:border-b-0">
      <th scope="row" className="px-4 py-2.5 text-left font-normal">
        <code className="font-mono text-meta wrap-anywhere">{name}</code>
        {required ? <span className="ml-2 text-meta font-medium text-ink">required</span> : null}
        {sentAs === "" ? null : <span className="block text-meta text-ink2">{sentAs}</span>}
        <span className="block text-meta wrap-anywhere text-ink2 md:hidden">{folded}</span>
      </th>
      <td className="hidden px-4 py-2.5 text-ink2 md:table-cell">{type}</td>
      <td className="hidden px-4 py-2.5 wrap-anywhere text-ink2 md:table-cell">{limit}</td>
      <td className="hidden px-4 py-2.5 text-ink2 md:table-cell">{price}</td>
    </tr>
  );
}
