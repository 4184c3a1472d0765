import { useEffect, useState } from "react";

const SECOND_MS = 1_000;

/** The time in milliseconds, renewed every second. For countdowns; ages have `useNow`. */
export function useSecond(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), SECOND_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
