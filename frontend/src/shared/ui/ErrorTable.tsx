import type { ErrorRow } from "../api";
import { Bone } from "./Bone";
import { Notice } from "./Notice";
import { Ticked } from "./Ticked";

const BONES = ["a", "b", "c", "d", "e"];

interface ErrorTableProps {
  readonly rows: readonly ErrorRow[] | undefined;
  readonly failed: boolean;
}

/** Errors by status: what each means and what to do next. No error charges anything. */
export function ErrorTable({ rows, failed }: ErrorTableProps) {
  if (rows === undefined && failed) {
    return <Notice look="bad" title="The server did not tell its errors" />;
  }
  return (
    <div className="overflow-hidden rounded-card border border-line bg-surface">
      <table className="w-full border-collapse text-note">
        <caption className="sr-only">Errors</caption>
        <thead className="border-b border-line text-left text-meta text-ink2">
          <tr>
            <th scope="col" className="w-16 px-4 py-2 font-medium">
              Status
            </th>
            <th scope="col" className="px-4 py-2 font-medium">
              Code
            </th>
            <th scope="col" className="hidden px-4 py-2 font-medium md:table-cell">
              What happened
            </th>
            <th scope="col" className="hidden px-4 py-2 font-medium md:table-cell">
              Do next
            </th>
          </tr>
        </thead>
        <tbody>
          {rows === undefined ? <Loading /> : rows.map((row) => <Line key={row.code} row={row} />)}
        </tbody>
      </table>
    </div>
  );
}

function Line({ row }: { readonly row: ErrorRow }) {
  return (
    <tr id={row.code} className="border-b border-line align-top last:border-b-0">
      <td className="px-4 py-2.5 tabular-nums">{row.status}</td>
      <th scope="row" className="px-4 py-2.5 text-left font-normal">
        <code className="font-mono text-meta wrap-anywhere">{row.code}</code>
        {row.retry ? <span className="block text-meta text-ink2">may be repeated</span> : null}
        <span className="mt-1 block text-ink2 md:hidden">
          <Ticked text={`${row.message} ${row.next_action}`} />
        </span>
      </th>
      <td className="hidden px-4 py-2.5 text-ink2 md:table-cell">
        <Ticked text={row.message} />
      </td>
      <td className="hidden px-4 py-2.5 md:table-cell">
        <Ticked text={row.next_action} />
      </td>
    </tr>
  );
}

function Loading() {
  return BONES.map((row) => (
    <tr key={row} className="border-b border-line last:border-b-0">
      <td colSpan={4} className="px-4 py-3">
        <Bone className="h-4 w-64 max-w-full" />
      </td>
    </tr>
  ));
}
