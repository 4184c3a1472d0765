import type { ReactNode } from "react";

interface ButtonProps {
  readonly onClick: () => void;
  readonly children: ReactNode;
}

/** The quiet button: a border, no fill. The orange one is for moving money only. */
export function Button({ onClick, children }: ButtonProps) {
  return (
    <button
      type="button"
      onClick={onClick}
      className="h-11 rounded-control border border-edge bg-surface px-4 text-control font-medium text-ink hover:bg-sunken"
    >
      {children}
    </button>
  );
}
