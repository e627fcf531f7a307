/** From the Workload API's messages to WIT-SVIDs and WIT bundles (SPIFFE Workload API section 7); a malformed message is refused whole. */
import { createPublicKey } from 'node:crypto';
import { parsePrivateJwk } from '@bonafide/shared/crypto/private-json-web-key';
import { parseWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import type { WITBundlesResponse__Output } from '@bonafide/shared/rpc/gen/WITBundlesResponse';
import type { WITSVID__Output } from '@bonafide/shared/rpc/gen/WITSVID';
import type { WITSVIDResponse__Output } from '@bonafide/shared/rpc/gen/WITSVIDResponse';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { malformedAnswer } from './malformed-answer.js';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import type { WitBundle, WitBundles } from './token-bundle.js';
import { withUniqueHints } from './unique-hints.js';

/** At least one; the first is the default identity. Hints are unique. */
export type WitSvids = readonly [WitSvid, ...WitSvid[]];

/** @param now stands in for `iat`, which a token may lack. @throws BonafideError `internal` naming the field. */
export function readWitSvids(response: WITSVIDResponse__Output, now: Date): WitSvids {
  const [first, ...rest] = response.svids.map((message, index) => {
    try {
      return readSvid(message, now);
    } catch (error) {
      throw malformedAnswer(`svids[${index}]`, error);
    }
  });
  if (first === undefined) throw malformedAnswer('svids', 'is empty');
  return [first, ...withUniqueHints(first, rest)];
}

/** @throws BonafideError `internal` naming the trust domain. */
export function readWitBundles(response: WITBundlesResponse__Output): WitBundles {
  const bundles = Object.entries(response.bundles).map(([id, text]): WitBundle => {
    try {
      const witAuthorities = readJwkSet(Buffer.from(text, 'utf8'), 'wit-svid');
      return { trustDomain: parseTrustDomainOrId(id), witAuthorities };
    } catch (error) {
      throw malformedAnswer(`bundle of ${JSON.stringify(id)}`, error);
    }
  });
  if (bundles.length === 0) throw malformedAnswer('bundles', 'is empty');
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}

function readSvid(message: WITSVID__Output, now: Date): WitSvid {
  const { spiffeId, issuedAt = now, expiresAt, keyId, confirmationKey } = parseWitSvid(message.witSvid);
  if (spiffeId !== message.spiffeId) {
    throw malformedAnswer(
      'spiffe_id',
      `is ${JSON.stringify(message.spiffeId)}, but the token is of ${spiffeId}`,
    );
  }
  const privateKey = parsePrivateJwk(message.witSvidKey);
  if (!createPublicKey(privateKey).equals(confirmationKey)) {
    throw malformedAnswer('wit_svid_key', 'does not belong to the token');
  }
  const hint = message.hint === '' ? undefined : message.hint;
  return { spiffeId, token: message.witSvid, privateKey, issuedAt, expiresAt, keyId, hint };
}
