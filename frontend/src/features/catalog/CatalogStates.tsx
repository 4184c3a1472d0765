import { ServerRefused } from "../../shared/api";
import { Bone } from "../../shared/ui/Bone";
import { Button } from "../../shared/ui/Button";
import { Notice } from "../../shared/ui/Notice";

const ROWS = ["a", "b", "c", "d", "e", "f"];

/** The table's place while prices are on their way. */
export function CatalogLoading() {
  return (
    <div aria-busy="true">
      <p role="status" className="sr-only">
        Loading prices
      </p>
      <div aria-hidden="true" className="grid gap-6">
        <Bone className="h-11 w-full rounded-control! sm:w-80" />
        <div className="rounded-card border border-line bg-surface">
          {ROWS.map((row) => (
            <div
              key={row}
              className="flex h-14 items-center justify-between border-b border-line px-4 last:border-b-0"
            >
              <Bone className="h-4 w-36" />
              <Bone className="h-4 w-20" />
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

interface CatalogFailedProps {
  readonly error: Error;
  readonly onRetry: () => void;
}

/** No prices at all: the server is down, or says why it cannot tell them. */
export function CatalogFailed({ error, onRetry }: CatalogFailedProps) {
  const refused = error instanceof ServerRefused;
  return (
    <Notice
      look="bad"
      role="alert"
      title={refused ? "The server could not list its prices" : "The server is not answering"}
      action={<Button onClick={onRetry}>Try again</Button>}
    >
      {refused ? error.message : "No prices can be shown and nothing can be bought until it is back."} What
      you have paid for is kept by the server, not by this page.
    </Notice>
  );
}
