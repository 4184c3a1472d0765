import { useState } from "react";

import { CodeBlock } from "../ui/CodeBlock";
import { Tabs } from "../ui/Tabs";
import { type Recipe, recipesFor } from "./recipe";

interface RecipesProps {
  readonly origin: string;
  readonly token: string;
  readonly model: string;
}

/** The token in the programs that people use. */
export function Recipes({ origin, token, model }: RecipesProps) {
  const recipes = recipesFor(origin, token, model);
  const [shown, setShown] = useState(recipes[0]?.name ?? "");
  return (
    <section aria-labelledby="recipes-title" className="min-w-0">
      <h2 id="recipes-title" className="mb-2 text-h2 font-semibold">
        Use it in
      </h2>
      <Tabs
        name="Programs"
        value={shown}
        onChange={setShown}
        tabs={recipes.map((recipe) => ({
          value: recipe.name,
          label: recipe.name,
          panel: <OneRecipe recipe={recipe} />,
        }))}
      />
    </section>
  );
}

function OneRecipe({ recipe: { name, says, code, warning } }: { readonly recipe: Recipe }) {
  return (
    <div className="grid gap-3">
      <p className="max-w-prose text-control text-ink2">{says}</p>
      <CodeBlock name={`${name} settings`} code={code} />
      {warning === undefined ? null : <p className="max-w-prose text-note text-ink2">{warning}</p>}
    </div>
  );
}
