import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from "react";

/** How much of the end may be below the window before the reader counts as elsewhere. */
const TOLERANCE_PX = 24;

/**
 * Keeps the end of something that grows in the window for who is reading there, and leaves everybody else alone.
 * `end` is its last element; it is followed while `growing`, whenever the component is drawn anew.
 */
export function useFollowedEnd(end: RefObject<HTMLElement | null>, growing: boolean) {
  const follows = useRef(false);
  const [isAway, setAway] = useState(false);

  useEffect(() => {
    if (!growing) return undefined;
    // Only the reader's own scrolling decides: what grows out of the window by itself is followed.
    function look() {
      follows.current = isInWindow(end.current);
      setAway(!follows.current);
    }
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
      setAway(false);
    };
  }, [end, growing]);

  useLayoutEffect(() => {
    if (growing && follows.current) end.current?.scrollIntoView({ block: "nearest" });
  });

  function jump() {
    follows.current = true;
    setAway(false);
    end.current?.scrollIntoView({ block: "end" });
    end.current?.focus({ preventScroll: true });
  }

  return { isAway, jump };
}

function isInWindow(element: HTMLElement | null): boolean {
  if (element === null) return true;
  const { top, bottom } = element.getBoundingClientRect();
  return bottom <= innerHeight + TOLERANCE_PX && top >= 0;
}
