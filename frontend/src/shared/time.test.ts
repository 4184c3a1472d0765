import { expect, it } from "vitest";

import { ageText, daysUntil, shutdownText } from "./time";

it.each([
  [-3, "0 s ago"],
  [59.9, "59 s ago"],
  [60, "1 min ago"],
  [3_599, "59 min ago"],
  [7_200, "2 h ago"],
  [200_000, "2 days ago"],
])("an age of %d s is told in one unit, rounded down", (seconds, text) => {
  expect(ageText(seconds)).toBe(text);
});

it("days to a date are counted in UTC, whatever the hour", () => {
  expect(daysUntil("2027-01-14", Date.parse("2026-11-23T23:59:59Z"))).toBe(52);
  expect(daysUntil("2027-01-14", Date.parse("2027-01-14T00:00:00Z"))).toBe(0);
  expect(daysUntil("2027-01-14", Date.parse("2027-01-15T00:00:00Z"))).toBe(-1);
});

it.each([
  [52, "ends in 52 days"],
  [1, "ends in 1 day"],
  [0, "ends today"],
  [-1, "ended"],
])("a shutdown %d days away is said in words", (days, text) => {
  expect(shutdownText(days)).toBe(text);
});
