"""Operations on API tokens, and the question who one is."""

VIEWER = """
query Viewer {
  viewer { name role agentId }
}
"""

CREATE = """
mutation ApiTokenCreate($input: ApiTokenCreateInput!) {
  apiTokenCreate(input: $input) {
    apiToken { tokenId tokenName role agentId expiresAt }
    secret
    userErrors { field message code currentVersion }
  }
}
"""

REVOKE = """
mutation ApiTokenRevoke($input: ApiTokenRevokeInput!) {
  apiTokenRevoke(input: $input) {
    apiToken { tokenId tokenName revokedAt }
    userErrors { field message code currentVersion }
  }
}
"""

TOKENS = """
query ApiTokens($first: Int!, $after: Cursor) {
  apiTokens(first: $first, after: $after) {
    nodes { tokenId tokenName role agentId createdAt expiresAt revokedAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""
