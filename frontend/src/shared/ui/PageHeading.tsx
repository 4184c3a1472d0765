import { type ReactNode, useEffect, useRef } from "react";
import { NavigationType, useLocation, useNavigationType } from "react-router";

const SITE = "A little bit of money";

interface PageHeadingProps {
  /** The window's title, before the site's name. */
  readonly title: string;
  readonly children: ReactNode;
  readonly className?: string;
}

/** The page's one h1. Coming from another page, the focus and the top of the window move to it. */
export function PageHeading({ title, children, className = "text-h1 font-semibold" }: PageHeadingProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { pathname, key } = useLocation();
  const navigation = useNavigationType();
  const wasLoaded = key === "default";

  useEffect(() => {
    document.title = title === "" ? `${SITE}: API calls paid in sats` : `${title} · ${SITE}`;
  }, [title]);

  useEffect(() => {
    if (wasLoaded) return;
    if (navigation !== NavigationType.Pop) scrollTo(0, 0);
    heading.current?.focus({ preventScroll: true });
    // Only another page moves the focus, not another tab or filter of the same one.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [pathname]);

  return (
    <h1 ref={heading} tabIndex={-1} className={`outline-none ${className}`}>
      {children}
    </h1>
  );
}
