interface TickedProps {
  /** Words between backticks are code. */
  readonly text: string;
}

/** A sentence of the server's, its code as code. */
export function Ticked({ text }: TickedProps) {
  return text.split("`").map((part, index) =>
    index % 2 === 0 ? (
      part
    ) : (
      // The parts of one sentence never change their order.
      // oxlint-disable-next-line react/no-array-index-key
      <code key={index} className="font-mono text-meta wrap-anywhere">
        {part}
      </code>
    ),
  );
}
