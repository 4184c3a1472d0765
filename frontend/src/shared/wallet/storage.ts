/** The browser's storage, where it is allowed; else the memory of this page. */

const memory = new Map<string, string>();

export interface Drawer {
  readonly read: (key: string) => string | null;
  readonly write: (key: string, value: string | null) => void;
}

/** Kept until forgotten. */
export const forEver: Drawer = drawer(() => localStorage);
/** Kept until the tab is closed. */
export const forThisTab: Drawer = drawer(() => sessionStorage);

/** False where the browser refuses to remember: then a closed tab loses what was not used. */
export function canRemember(): boolean {
  try {
    localStorage.setItem("probe", "1");
    localStorage.removeItem("probe");
    return true;
  } catch {
    return false;
  }
}

function drawer(storage: () => Storage): Drawer {
  return {
    read: (key) => {
      try {
        return storage().getItem(key);
      } catch {
        return memory.get(key) ?? null;
      }
    },
    write: (key, value) => {
      try {
        if (value === null) storage().removeItem(key);
        else storage().setItem(key, value);
        memory.delete(key);
      } catch {
        if (value === null) memory.delete(key);
        else memory.set(key, value);
      }
    },
  };
}
