/** What JWT-SVIDs are asked of: the server, which signs one for an entry of this agent. */

export interface JwtSvidRequest {
  readonly entryId: string;
  /** At least one. */
  readonly audience: readonly string[];
}

export interface JwtSvidSigner {
  /** @returns the token, which is yet to be verified. @throws BonafideError as the server answered. */
  sign(request: JwtSvidRequest, signal: AbortSignal): Promise<string>;
}
