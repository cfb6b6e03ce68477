"""Operations on API tokens, and the question who one is."""

from app.client.documents import listing, mutation

VIEWER = """
query Viewer {
  viewer { name role agentId }
}
"""

CREATE = mutation("apiTokenCreate", "apiToken { tokenId tokenName role agentId expiresAt } secret")

REVOKE = mutation("apiTokenRevoke", "apiToken { tokenId tokenName revokedAt }")

TOKENS = listing("ApiTokens", "apiTokens", "tokenId tokenName role agentId createdAt expiresAt revokedAt")
