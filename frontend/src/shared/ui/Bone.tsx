/** A grey bar where text will be. It does not move, and screen readers do not see it. */
export function Bone({ className }: { readonly className: string }) {
  return <span aria-hidden="true" className={`block rounded-chip bg-line ${className}`} />;
}
