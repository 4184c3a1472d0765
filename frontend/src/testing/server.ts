import { http, HttpResponse } from "msw";
import { setupServer } from "msw/node";

import type { Catalog } from "../shared/api";
import { CATALOG } from "./catalog";

/** Answers `GET /api/catalog` with the sample until a test says otherwise. */
export const server = setupServer(catalogAnswers(CATALOG));

export function catalogAnswers(catalog: Catalog) {
  return http.get("/api/catalog", () => HttpResponse.json(catalog));
}

export function catalogIsUnreachable() {
  return http.get("/api/catalog", () => HttpResponse.error());
}

export function catalogRefuses(status: number, message: string) {
  return http.get("/api/catalog", () => HttpResponse.json({ error: { message } }, { status }));
}

export function catalogNeverAnswers() {
  return http.get("/api/catalog", () => new Promise<never>(() => undefined));
}
