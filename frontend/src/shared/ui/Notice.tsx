import type { ReactNode } from "react";

const LOOKS = {
  warn: "border-warn/30 bg-warnsoft text-warn",
  bad: "border-bad/30 bg-badsoft text-bad",
} as const;

interface NoticeProps {
  readonly look: keyof typeof LOOKS;
  readonly title: string;
  readonly children?: ReactNode;
  /** `alert` interrupts a screen reader; use it once, for what just went wrong. */
  readonly role?: "alert" | "note";
  readonly action?: ReactNode;
}

/** A boxed message: what happened, why, and at most one thing to do. */
export function Notice({ look, title, children, role = "note", action }: NoticeProps) {
  return (
    <div
      role={role}
      className={`flex flex-wrap items-center justify-between gap-x-6 gap-y-3 rounded-card border px-4 py-3 ${LOOKS[look]}`}
    >
      <div className="max-w-prose text-control">
        <p className="font-semibold">{title}</p>
        {children === undefined ? null : <p className="mt-0.5 text-note text-ink2">{children}</p>}
      </div>
      {action}
    </div>
  );
}
