import { once } from 'node:events';
import { connect } from 'node:tls';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const LOCAL_AUTHORITY = 'spire.api.server.localauthority.v1.LocalAuthority';
const SVID = 'spire.api.server.svid.v1.SVID';

interface State {
  readonly authorityId: string;
}

interface States {
  readonly active: State | null;
  readonly prepared: State | null;
  readonly old: State | null;
}

/** What an operator can do with the authorities of one kind. */
interface Kind {
  readonly states: () => Promise<States>;
  readonly prepare: () => Promise<string | undefined>;
  readonly activate: (authorityId: string) => Promise<unknown>;
  readonly taint: (authorityId: string) => Promise<unknown>;
  readonly revoke: (authorityId: string) => Promise<unknown>;
  /** Of each authority in the bundle, whether it is tainted. */
  readonly published: () => Promise<Readonly<Record<string, boolean>>>;
  /** The name of the authority of an SVID that is minted now. */
  readonly signer: () => Promise<string | undefined>;
}

function kindsOf(server: InProcessServer): Readonly<Record<'x509' | 'jwt' | 'wit', Kind>> {
  const client = server.local(LOCAL_AUTHORITY);
  const bundle = () => callUnary(server.local(BUNDLE), 'GetBundle', {});
  const subject = { trustDomain: 'example.org', path: '/web' };
  const tainted = (keys: readonly { keyId: string; tainted: boolean }[]) =>
    Object.fromEntries(keys.map((key) => [key.keyId, key.tainted]));
  return {
    x509: {
      states: () => callUnary(client, 'GetX509AuthorityState', {}),
      prepare: async () =>
        (await callUnary(client, 'PrepareX509Authority', {})).preparedAuthority?.authorityId,
      activate: (authorityId) => callUnary(client, 'ActivateX509Authority', { authorityId }),
      taint: (authorityId) => callUnary(client, 'TaintX509Authority', { authorityId }),
      revoke: (authorityId) => callUnary(client, 'RevokeX509Authority', { authorityId }),
      published: async () =>
        Object.fromEntries(
          (await bundle()).x509Authorities.map(({ asn1, tainted: isTainted }) => [
            parseX509Certificate(asn1).subjectKeyId ?? '',
            isTainted,
          ]),
        ),
      signer: async () => {
        const [leaf] = (await server.mint('spiffe://example.org/web')).certificateChain;
        return leaf && parseX509Certificate(leaf).authorityKeyId;
      },
    },
    jwt: {
      states: () => callUnary(client, 'GetJWTAuthorityState', {}),
      prepare: async () =>
        (await callUnary(client, 'PrepareJWTAuthority', {})).preparedAuthority?.authorityId,
      activate: (authorityId) => callUnary(client, 'ActivateJWTAuthority', { authorityId }),
      taint: (authorityId) => callUnary(client, 'TaintJWTAuthority', { authorityId }),
      revoke: (authorityId) => callUnary(client, 'RevokeJWTAuthority', { authorityId }),
      published: async () => tainted((await bundle()).jwtAuthorities),
      signer: async () => {
        const request = { id: subject, audience: ['test'], ttl: 60 };
        const { svid } = await callUnary(server.local(SVID), 'MintJWTSVID', request);
        return keyIdOf(svid?.token);
      },
    },
    wit: {
      states: () => callUnary(client, 'GetWITAuthorityState', {}),
      prepare: async () =>
        (await callUnary(client, 'PrepareWITAuthority', {})).preparedAuthority?.authorityId,
      activate: (authorityId) => callUnary(client, 'ActivateWITAuthority', { authorityId }),
      taint: (authorityId) => callUnary(client, 'TaintWITAuthority', { authorityId }),
      revoke: (authorityId) => callUnary(client, 'RevokeWITAuthority', { authorityId }),
      published: async () => tainted((await bundle()).witAuthorities),
      signer: async () => {
        const publicKey = exportSpki(await generatePrivateKey('ec-p256'));
        const request = { id: subject, publicKey, ttl: 60, signingAlgorithm: 'ES256' };
        const { svid } = await callUnary(server.local(SVID), 'MintWITSVID', request);
        return keyIdOf(svid?.token);
      },
    },
  };
}

function keyIdOf(token = ''): string | undefined {
  const [header = ''] = token.split('.');
  return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid?: string }).kid;
}

/** The serial number of the certificate that the TLS port shows to who connects now. */
async function shownSerial(server: InProcessServer): Promise<string> {
  const socket = connect({
    ...{ port: server.port, host: '127.0.0.1' },
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
  });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.serialNumber ?? '';
  } finally {
    socket.destroy();
  }
}

describe.each(['x509', 'jwt', 'wit'] as const)('the %s authorities of a running server', (name) => {
  it('are prepared, activated, tainted and revoked by an operator, and the next start agrees', async () => {
    using directory = createTemporaryDirectory();
    let second = '';
    {
      await using server = await InProcessServer.start({ directory });
      const kind = kindsOf(server)[name];
      const first = (await kind.states()).active?.authorityId ?? '';
      second = (await kind.prepare()) ?? '';
      expect(await kind.states()).toMatchObject({ prepared: { authorityId: second }, old: null });
      expect(await kind.published()).toEqual({ [first]: false, [second]: false });
      expect(await kind.signer()).toBe(first);

      await kind.activate(second);
      expect(await kind.states()).toMatchObject({
        active: { authorityId: second },
        prepared: null,
        old: { authorityId: first },
      });
      expect(await kind.signer()).toBe(second);

      await expect(kind.taint(second)).rejects.toMatchObject({
        reason: 'invalid_argument',
        message: 'unable to taint current local authority',
      });
      await expect(kind.revoke(first)).rejects.toMatchObject({ reason: 'invalid_argument' });
      await kind.taint(first);
      expect(await kind.published()).toEqual({ [first]: true, [second]: false });
      await kind.revoke(first);
      expect(await kind.published()).toEqual({ [second]: false });
      expect(await kind.states()).toMatchObject({ active: { authorityId: second }, old: null });
    }
    await using again = await InProcessServer.start({ directory });
    const kind = kindsOf(again)[name];
    expect(await kind.states()).toMatchObject({ active: { authorityId: second }, old: null });
    expect(await kind.published()).toEqual({ [second]: false });
  });
});

it('the server shows a new certificate of its own when an X.509 authority is activated and when one is tainted', async () => {
  await using server = await InProcessServer.start();
  const kind = kindsOf(server).x509;
  const first = (await kind.states()).active?.authorityId ?? '';
  const renewed = async (before: string): Promise<string> => {
    await waitFor('a new certificate to be shown', async () => (await shownSerial(server)) !== before);
    return shownSerial(server);
  };
  const start = await shownSerial(server);
  await kind.activate((await kind.prepare()) ?? '');
  const activated = await renewed(start);
  await kind.taint(first);
  await renewed(activated);
});

it('nobody but an operator may touch authorities', async () => {
  await using server = await InProcessServer.start();
  const agent = await server.attestNew();
  const remote = await server.remote(LOCAL_AUTHORITY, agent);
  await expect(callUnary(remote, 'GetJWTAuthorityState', {})).rejects.toMatchObject({
    reason: 'permission_denied',
  });
  await expect(callUnary(remote, 'PrepareX509Authority', {})).rejects.toMatchObject({
    reason: 'permission_denied',
  });
});
