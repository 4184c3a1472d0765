import { expect, it } from "vitest";

import { ageText, clockText, countdownText, dayText, daysUntil, shutdownText, sinceText } from "./time";

const HOUR_MS = 3_600_000;
const NOON = new Date(2026, 10, 3, 12, 0).getTime();

it.each([
  [-3, "just now"],
  [4.9, "just now"],
  [5, "5 s ago"],
  [59.9, "59 s ago"],
  [60, "1 min ago"],
  [3_599, "59 min ago"],
  [3_600, "1 h ago"],
  [172_799, "47 h ago"],
  [172_800, "2 days ago"],
])("an age of %d seconds is %s", (seconds, text) => {
  expect(ageText(seconds)).toBe(text);
});

it.each([
  ["2026-11-24", "ends in 1 day"],
  ["2026-12-14", "ends in 21 days"],
  ["2026-11-23", "ends today"],
  ["2026-11-22", "ended"],
])("on 23 November in UTC a model of %s %s", (date, text) => {
  expect(shutdownText(daysUntil(date, Date.parse("2026-11-23T23:59:00Z")))).toBe(text);
});

it("counts down to nothing and no further", () => {
  expect([581_999, 60_000, 999, -5_000].map(countdownText)).toEqual(["9:41", "1:00", "0:00", "0:00"]);
});

it("says since when, with the day where it is another one", () => {
  expect(sinceText(NOON, NOON + HOUR_MS)).toBe(`since ${clockText(NOON)}`);
  expect(sinceText(NOON, NOON + 24 * HOUR_MS)).toBe(`since 3 Nov, ${clockText(NOON)}`);
  expect(clockText(NOON)).toBe("12:00");
});

it("tells a day of a calendar in UTC as that day everywhere", () => {
  expect(dayText(Date.parse("2026-11-03"), "UTC")).toBe("3 Nov");
});
