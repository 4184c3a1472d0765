import type { Health } from "../../shared/api";
import { ageText, sinceText } from "../../shared/time";
import { Bone } from "../../shared/ui/Bone";
import { useNow } from "../../shared/useNow";
import { type PartLine, partLines, summary, troubleSince } from "./parts";

const SECOND_MS = 1_000;

interface StatusViewProps {
  readonly health: Health;
  readonly checkedAt: number;
  /** Providers' titles by API name. */
  readonly titles: ReadonlyMap<string, string>;
}

/** One sentence, then each part. */
export function StatusView({ health, checkedAt, titles }: StatusViewProps) {
  const now = useNow();
  const ok = health.status === "ok";
  const trouble = troubleSince(health);
  const checked = `checked ${ageText((now - checkedAt) / SECOND_MS)}`;
  return (
    <div className="grid gap-6">
      <div
        className={`rounded-card border px-5 py-4 ${ok ? "border-ok/30 bg-oksoft text-ok" : "border-warn/30 bg-warnsoft text-warn"}`}
      >
        <p role="status" className="text-h2 font-semibold">
          {summary(health)}
        </p>
        <p className="text-note text-ink2 first-letter:uppercase">
          {trouble === null ? checked : `${sinceText(trouble, now)} · ${checked}`}
        </p>
      </div>
      <ul className="overflow-hidden rounded-card border border-line bg-surface">
        {partLines(health, titles).map((line) => (
          <Line key={line.key} line={line} now={now} />
        ))}
      </ul>
      <p className="text-note text-ink2">
        The same for programs:{" "}
        <a href="/api/health" className="underline underline-offset-4 hover:text-ink">
          /api/health
        </a>
      </p>
    </div>
  );
}

function Line({ line, now }: { readonly line: PartLine; readonly now: number }) {
  return (
    <li className="grid grid-cols-[1fr_auto] gap-x-6 gap-y-0.5 border-b border-line px-4 py-3 last:border-b-0 sm:grid-cols-[150px_130px_130px_1fr] sm:px-5">
      <span className="font-medium">{line.name}</span>
      <span className={`flex items-center gap-2 text-control ${line.ok ? "text-ok" : "text-warn"}`}>
        <span aria-hidden="true" className={`size-2 rounded-full ${line.ok ? "bg-ok" : "bg-warn"}`} />
        {line.state}
      </span>
      <span className="order-last text-note text-ink2 tabular-nums sm:order-none sm:leading-[22px]">
        {sinceText(line.since, now)}
      </span>
      <span className="col-span-2 text-note wrap-anywhere text-ink2 sm:col-span-1 sm:leading-[22px]">
        {line.detail}
        {line.means === "" ? null : <span className="block text-ink">{line.means}</span>}
      </span>
    </li>
  );
}

const BONES = ["a", "b", "c", "d"];

/** The page's place while it is asked. */
export function StatusLoading() {
  return (
    <div className="grid gap-6" aria-busy="true">
      <p role="status" className="sr-only">
        Asking the server
      </p>
      <Bone className="h-20 rounded-card!" />
      <div className="rounded-card border border-line bg-surface">
        {BONES.map((row) => (
          <div key={row} className="border-b border-line px-5 py-4 last:border-b-0">
            <Bone className="h-4 w-56" />
          </div>
        ))}
      </div>
    </div>
  );
}
