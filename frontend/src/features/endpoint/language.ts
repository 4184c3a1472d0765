/** Which program a visitor reads, remembered in the browser if it lets us. */

const STORAGE_KEY = "example";

export function keptLanguage(): string | null {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

export function keepLanguage(id: string): void {
  try {
    localStorage.setItem(STORAGE_KEY, id);
  } catch {
    // It lasts as long as the page.
  }
}
