/** Ages and days as text. Times are milliseconds since 1970 unless the name says otherwise. */

const DAY_MS = 86_400_000;

/** `just now`, `14 s ago`, `3 min ago`, `2 h ago`, `5 days ago`: one unit, rounded down. */
export function ageText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 5) return "just now";
  if (whole < 60) return `${whole} s ago`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ago`;
  if (whole < 2 * 86_400) return `${Math.floor(whole / 3_600)} h ago`;
  return `${Math.floor(whole / 86_400)} days ago`;
}

/** Days from today to a `YYYY-MM-DD` date, both in UTC. Negative once it is past. */
export function daysUntil(date: string, now: number): number {
  const today = Math.floor(now / DAY_MS);
  return Math.floor(Date.parse(`${date}T00:00:00Z`) / DAY_MS) - today;
}

/** When a model stops being served: `ends in 21 days`, `ends today`, `ended`. */
export function shutdownText(days: number): string {
  if (days < 0) return "ended";
  if (days === 0) return "ends today";
  return days === 1 ? "ends in 1 day" : `ends in ${days} days`;
}

/** What is left of a time, as `9:41`; `0:00` once it is over. */
export function countdownText(leftMs: number): string {
  const seconds = Math.max(0, Math.floor(leftMs / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** `14:03`, in the visitor's time. */
export function clockText(at: number): string {
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** `3 Nov`, in the visitor's time unless it is told which. */
export function dayText(at: number, timeZone?: string): string {
  const zone = timeZone === undefined ? {} : { timeZone };
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", ...zone }).format(at);
}

/** `since 14:03`, in the visitor's time; with the day where it is not today's: `since 3 Nov, 14:03`. */
export function sinceText(at: number, now: number): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  const day = isToday ? "" : `${dayText(at)}, `;
  return `since ${day}${clockText(at)}`;
}
