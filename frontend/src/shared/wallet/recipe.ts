/** Where a token goes in the programs that people use. Each works with the visitor's own host. */

export interface Recipe {
  readonly name: string;
  /** One or two sentences before the code. */
  readonly says: string;
  readonly code: string;
  /** A thing to know. */
  readonly warning?: string;
}

/** The two lines that every OpenAI SDK reads. */
export function environmentFile(origin: string, token: string): string {
  return `OPENAI_BASE_URL=${origin}/v1\nOPENAI_API_KEY=${token}\n`;
}

export function recipesFor(origin: string, token: string, model: string): readonly Recipe[] {
  return [
    {
      name: "OpenAI SDK",
      says: "The official SDKs read both from the environment: nothing changes in the program.",
      code: `export OPENAI_BASE_URL=${origin}/v1\nexport OPENAI_API_KEY=${token}`,
    },
    {
      name: "Cursor",
      says: "Settings, Models, OpenAI API key: paste the token, switch on “Override OpenAI Base URL”, paste the address with its /v1, and verify.",
      code: `${origin}/v1\n${token}`,
      warning:
        "Cursor’s own servers call the address, so it cannot be localhost. The override takes over all of its OpenAI models; tab completion is not affected.",
    },
    {
      name: "Aider",
      says: "In the shell that starts it:",
      code: `export OPENAI_API_BASE=${origin}/v1\nexport OPENAI_API_KEY=${token}\naider --model openai/${model}`,
    },
    {
      name: "Codex",
      says: "In ~/.codex/config.toml; the token is read from the environment:",
      code: `model = "${model}"\nmodel_provider = "sats"\n\n[model_providers.sats]\nname = "sats"\nbase_url = "${origin}/v1"\nenv_key = "SATS_TOKEN" # export SATS_TOKEN=${token}\nwire_api = "responses"`,
    },
    {
      name: "Claude Code",
      says: "In the shell that starts it:",
      code: `export ANTHROPIC_BASE_URL=${origin}/anthropic\nexport ANTHROPIC_AUTH_TOKEN=${token}`,
      warning: "It asks for Anthropic’s models, so that API must be on sale here.",
    },
    {
      name: "Open WebUI",
      says: "In the environment of its server, or in Settings, Connections:",
      code: `OPENAI_API_BASE_URL=${origin}/v1\nOPENAI_API_KEY=${token}`,
    },
    {
      name: "LangChain",
      says: "In Python:",
      code: `from langchain_openai import ChatOpenAI\n\nchat = ChatOpenAI(\n    model="${model}",\n    base_url="${origin}/v1",\n    api_key="${token}",\n)`,
    },
  ];
}
