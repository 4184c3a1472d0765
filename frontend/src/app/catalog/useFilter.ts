import { useState } from "react";
import { NavigationType, useLocation, useNavigationType, useSearchParams } from "react-router";

import { type Filter, filterIn, paramsOf } from "../../features/catalog/filter";

/**
 * What is filtered, and the way to change it. The page has it at once and the address follows, so that no key is lost
 * while the address is on its way; who comes by another address, or back to an earlier one, gets what that one says.
 */
export function useFilter(): readonly [Filter, (filter: Filter) => void] {
  const [params, setParams] = useSearchParams();
  const { key } = useLocation();
  // Every change that is made here replaces the address, and nothing else does.
  const isOurs = useNavigationType() === NavigationType.Replace;
  const [filter, setFilter] = useState(() => filterIn(params));
  const [seen, setSeen] = useState(key);
  if (key !== seen) {
    setSeen(key);
    if (!isOurs) setFilter(filterIn(params));
  }

  function change(next: Filter) {
    setFilter(next);
    setParams(paramsOf(next), { replace: true, preventScrollReset: true });
  }

  return [filter, change];
}
