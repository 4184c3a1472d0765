import { ChevronDown } from "lucide-react";
import { type ComponentPropsWithRef, type ReactNode, useId } from "react";

interface FieldProps {
  readonly label: string;
  readonly hint?: ReactNode;
  /** What is wrong with what was entered. */
  readonly error?: string | null;
  /** Draws the control, given what ties it to its label and texts. */
  readonly children: (tied: Tied) => ReactNode;
}

export interface Tied {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": true | undefined;
}

/** A labelled control with its hint and its error. */
export function Field({ label, hint, error = null, children }: FieldProps) {
  const id = useId();
  const describedBy = [hint === undefined ? "" : `${id}-hint`, error === null ? "" : `${id}-error`];
  const tied: Tied = {
    id,
    "aria-describedby": describedBy.filter(Boolean).join(" ") || undefined,
    "aria-invalid": error === null ? undefined : true,
  };
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className="text-note font-medium">
        {label}
      </label>
      {children(tied)}
      {hint === undefined ? null : (
        <p id={`${id}-hint`} className="text-meta text-ink2">
          {hint}
        </p>
      )}
      {error === null ? null : (
        <p id={`${id}-error`} className="text-meta text-bad">
          {error}
        </p>
      )}
    </div>
  );
}

// 16 px on phones: iOS zooms into anything smaller.
const CONTROL =
  "w-full rounded-control border border-edge bg-surface px-3 text-body text-ink aria-invalid:border-bad sm:text-control";

export function TextInput({ className = "", ...rest }: ComponentPropsWithRef<"input">) {
  return <input {...rest} className={`${CONTROL} h-11 ${className}`} />;
}

export function TextArea({ className = "", ...rest }: ComponentPropsWithRef<"textarea">) {
  return <textarea {...rest} className={`${CONTROL} min-h-24 py-2.5 ${className}`} />;
}

export function Select({ children, ...rest }: ComponentPropsWithRef<"select">) {
  return (
    <span className="relative block">
      <select {...rest} className={`${CONTROL} h-11 appearance-none truncate pr-10`}>
        {children}
      </select>
      <ChevronDown
        aria-hidden="true"
        strokeWidth={1.75}
        className="pointer-events-none absolute top-3 right-3 size-5 text-ink3"
      />
    </span>
  );
}

interface CheckProps extends Omit<ComponentPropsWithRef<"input">, "type"> {
  readonly label: ReactNode;
}

/** A checkbox with its words to the right, all of it pressable. */
export function Check({ label, className = "", ...rest }: CheckProps) {
  return (
    <label className={`flex min-h-6 cursor-pointer items-start gap-2.5 text-note ${className}`}>
      <input type="checkbox" {...rest} className="mt-0.5 size-4 shrink-0 accent-ink" />
      <span>{label}</span>
    </label>
  );
}
