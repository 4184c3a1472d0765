import type { ComponentPropsWithRef, ReactNode } from "react";
import { Link } from "react-router";

const LOOKS = {
  /** Moves money. One on a page. */
  pay: "border-transparent bg-accent text-onaccent hover:bg-accent/85",
  /** The ordinary one. */
  quiet: "border-edge bg-surface text-ink hover:bg-sunken",
  /** Least: beside others. */
  plain: "border-transparent text-ink2 hover:bg-sunken hover:text-ink",
  /** Takes something away for good. */
  bad: "border-bad/60 bg-surface text-bad hover:bg-badsoft",
} as const;

export type ButtonLook = keyof typeof LOOKS;

const SHAPE =
  "inline-flex min-h-11 items-center justify-center gap-2 rounded-control border px-4 text-control font-medium disabled:cursor-not-allowed disabled:border-line disabled:bg-sunken disabled:text-ink3";

interface ButtonProps extends ComponentPropsWithRef<"button"> {
  readonly look?: ButtonLook;
}

/** A button; quiet unless told otherwise. The orange one is for moving money only. */
export function Button({ look = "quiet", className = "", type = "button", ...rest }: ButtonProps) {
  // oxlint-disable-next-line react/button-has-type
  return <button {...rest} type={type} className={`${SHAPE} ${LOOKS[look]} ${className}`} />;
}

interface ButtonLinkProps {
  readonly to: string;
  readonly look?: ButtonLook;
  readonly className?: string;
  readonly children: ReactNode;
}

/** A link to another page that looks like a button. */
export function ButtonLink({ to, look = "quiet", className = "", children }: ButtonLinkProps) {
  return (
    <Link to={to} className={`${SHAPE} ${LOOKS[look]} ${className}`}>
      {children}
    </Link>
  );
}
