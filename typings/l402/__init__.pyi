"""The part of l402sdk 0.1 that tests/clients uses; the package says it has types and ships none."""

class L402Response:
    status: int
    def text(self) -> str: ...

class L402Client:
    @staticmethod
    def with_cln_rest(url: str, rune: str) -> L402Client: ...
    def post(self, url: str, body: str | None = None) -> L402Response: ...
