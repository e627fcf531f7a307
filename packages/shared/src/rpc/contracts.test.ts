/** The contracts in proto/: every service has exactly its methods, and messages have exactly their bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadMessage } from './load-message.js';
import { loadProto } from './load-proto.js';
import { loadService } from './load-service.js';
import { SERVICES, type ServiceName } from './services.js';

/** `>` streams from the server, `<>` both ways. */
const METHODS: Readonly<Record<ServiceName, string>> = {
  SpiffeWorkloadAPI:
    'FetchX509SVID> FetchX509Bundles> FetchJWTSVID FetchJWTBundles> ValidateJWTSVID FetchWITSVID> FetchWITBundles>',
  'spiffe.broker.API': 'SubscribeToX509SVID> SubscribeToX509Bundles> FetchJWTSVID SubscribeToJWTBundles>',
  'envoy.service.secret.v3.SecretDiscoveryService': 'DeltaSecrets<> StreamSecrets<> FetchSecrets',
  'grpc.health.v1.Health': 'Check Watch> List',
  'bonafide.access.v1.Access': 'ListRoles ExplainAccess',
  'bonafide.agent.v1.Explain': 'ExplainProcess ListConnected>',
  'bonafide.agent.v1.SelfExplain': 'ExplainCaller',
  'bonafide.agent.v1.Survival': 'Report>',
  'bonafide.attestation.v1.NodeAdmission':
    'GetNodeState RequestProof ListQuarantinedAgents QuarantineAgent ReleaseAgent ListPendingNodes ApproveNode DenyNode',
  'bonafide.attestation.v1.NodeProof': 'Prove<>',
  'bonafide.attestation.v1.TpmEnrollment':
    'EnrollTpm ListEnrolledTpms RemoveEnrolledTpm ReplaceTpm RekeyTpm GetBaseline',
  'bonafide.debug.v1.Snapshots': 'TakeSnapshot ProfileCpu WriteHeap',
  'bonafide.entry.v1.EntryExplanation': 'ExplainEntry',
  'bonafide.entry.v1.EntryPlan': 'PlanEntries<> ApplyEntries<>',
  'bonafide.entry.v1.SelectorSightings': 'ReportSightings',
  'bonafide.entry.v1.WorkloadExplanation': 'ExplainWorkload',
  'bonafide.sync.v1.Delivery': 'WaitForDelivery>',
  'bonafide.sync.v1.Sync': 'Watch<>',
  'spire.api.server.agent.v1.Agent':
    'CountAgents ListAgents GetAgent DeleteAgent BanAgent AttestAgent<> RenewAgent CreateJoinToken PostStatus',
  'spire.api.server.bundle.v1.Bundle':
    'CountBundles GetBundle AppendBundle PublishJWTAuthority PublishWITAuthority ListFederatedBundles GetFederatedBundle BatchCreateFederatedBundle BatchUpdateFederatedBundle BatchSetFederatedBundle BatchDeleteFederatedBundle',
  'spire.api.server.debug.v1.Debug': 'GetInfo',
  'spire.api.server.entry.v1.Entry':
    'CountEntries ListEntries GetEntry BatchCreateEntry BatchUpdateEntry BatchDeleteEntry GetAuthorizedEntries SyncAuthorizedEntries<>',
  'spire.api.server.localauthority.v1.LocalAuthority':
    'GetJWTAuthorityState PrepareJWTAuthority ActivateJWTAuthority TaintJWTAuthority RevokeJWTAuthority GetX509AuthorityState PrepareX509Authority ActivateX509Authority TaintX509Authority TaintX509UpstreamAuthority RevokeX509Authority RevokeX509UpstreamAuthority GetWITAuthorityState PrepareWITAuthority ActivateWITAuthority TaintWITAuthority RevokeWITAuthority',
  'spire.api.server.logger.v1.Logger': 'GetLogger SetLogLevel ResetLogLevel',
  'spire.api.server.svid.v1.SVID':
    'MintX509SVID MintJWTSVID MintWITSVID BatchNewX509SVID NewJWTSVID BatchNewWITSVID NewDownstreamX509CA',
  'spire.api.server.trustdomain.v1.TrustDomain':
    'ListFederationRelationships GetFederationRelationship BatchCreateFederationRelationship BatchUpdateFederationRelationship BatchDeleteFederationRelationship RefreshBundle',
  'spire.agent.debug.v1.Debug': 'GetInfo',
  'spire.api.agent.delegatedidentity.v1.DelegatedIdentity':
    'SubscribeToX509SVIDs> SubscribeToX509Bundles> FetchJWTSVIDs SubscribeToJWTBundles>',
  'spire.api.agent.logger.v1.Logger': 'GetLogger SetLogLevel ResetLogLevel',
};

describe('the services of proto/', () => {
  it.each(Object.entries(METHODS))('%s has exactly its methods', (name, methods) => {
    const { definition } = loadService(name as ServiceName);
    const found = Object.entries(definition).map(([method, { path, requestStream, responseStream }]) => {
      expect(path).toBe(`/${name}/${method}`);
      return `${method}${requestStream ? '<' : ''}${responseStream ? '>' : ''}`;
    });
    expect(found.sort()).toEqual(methods.split(' ').sort());
  });

  it('are all in the table, and every file can be read', () => {
    const folder = dirname(createRequire(import.meta.url).resolve('@bonafide/proto/package.json'));
    const services = new Set<string>();
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.proto')) continue;
      const text = readFileSync(join(folder, file), 'utf8');
      const packageName = /^package ([\w.]+);/m.exec(text)?.[1];
      const found = loadProto(file);
      for (const [, name = ''] of text.matchAll(/^service (\w+) \{/gm)) {
        const fullName = packageName === undefined ? name : `${packageName}.${name}`;
        expect(Object.keys(found)).toContain(fullName);
        services.add(fullName);
      }
    }
    expect([...services].sort()).toEqual(Object.keys(SERVICES).sort());
  });
});

describe('the bytes of a message', () => {
  const entry = loadService('spire.api.server.entry.v1.Entry').definition.GetEntry;
  const attest = loadService('spire.api.server.agent.v1.Agent').definition.AttestAgent;
  const fetchSvid = loadService('SpiffeWorkloadAPI').definition.FetchX509SVID;
  const watch = loadService('bonafide.sync.v1.Sync').definition.Watch;

  it('are the standard ones for an X509SVIDResponse', () => {
    const expected = [
      '0a 11', // svids[0], 17 bytes
      '0a 04 69643a31', // spiffe_id "id:1"
      '12 01 c1', // x509_svid
      '1a 01 d1', // x509_svid_key
      '22 01 b1', // bundle
      '2a 00', // hint, empty but present
      '12 01 e1', // crl[0]
      '1a 08 0a 03 746462 12 01 f1', // federated_bundles["tdb"]
    ].join('');
    const bytes = fetchSvid.responseSerialize({
      svids: [
        {
          spiffeId: 'id:1',
          x509Svid: Buffer.of(0xc1),
          x509SvidKey: Buffer.of(0xd1),
          bundle: Buffer.of(0xb1),
          hint: '',
        },
      ],
      crl: [Buffer.of(0xe1)],
      federatedBundles: { tdb: Buffer.of(0xf1) },
    });
    expect(bytes.toString('hex')).toBe(expected.replaceAll(' ', ''));
    expect(fetchSvid.responseDeserialize(bytes).federatedBundles).toEqual({ tdb: Buffer.of(0xf1) });
  });

  it('are the standard ones for a secret of Envoy', () => {
    const secret = loadMessage('envoy.extensions.transport_sockets.tls.v3.Secret');
    const expected = [
      '0a 01 6e', // name "n"
      '12 0a', // tls_certificate
      '0a 03 12 01 c1', // certificate_chain { inline_bytes }
      '12 03 12 01 d1', // private_key { inline_bytes }
    ].join('');
    const bytes = secret.serialize({
      name: 'n',
      tlsCertificate: {
        certificateChain: { inlineBytes: Buffer.of(0xc1) },
        privateKey: { inlineBytes: Buffer.of(0xd1) },
      },
    });
    expect(bytes.toString('hex')).toBe(expected.replaceAll(' ', ''));
    const validator = [
      '0a 01 6e', // name "n"
      '22 0d', // validation_context
      '62 0b', // custom_validator_config
      '0a 01 76', // name "v"
      '12 06 0a 01 74 12 01 e1', // typed_config { type_url "t", value }
    ].join('');
    expect(
      secret.deserialize(Buffer.from(validator.replaceAll(' ', ''), 'hex')).validationContext,
    ).toMatchObject({
      customValidatorConfig: { name: 'v', typedConfig: { type_url: 't', value: Buffer.of(0xe1) } },
    });
  });

  it('are the standard ones for discovery requests and responses', () => {
    const { StreamSecrets, DeltaSecrets } = loadService(
      'envoy.service.secret.v3.SecretDiscoveryService',
    ).definition;
    const node = [
      '12 0e', // node
      '0a 01 69', // id "i"
      '32 01 65', // user_agent_name "e"
      '42 06 0a 04 08 01 10 28', // user_agent_build_version { version { 1, 40 } }
    ].join('');
    const request = StreamSecrets.requestDeserialize(
      Buffer.from(`0a0176${node}1a01722201742a016e32050803120178`.replaceAll(' ', ''), 'hex'),
    );
    expect(request).toMatchObject({
      versionInfo: 'v',
      node: { userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 40 } } },
      resourceNames: ['r'],
      typeUrl: 't',
      responseNonce: 'n',
      errorDetail: { code: 3, message: 'x' },
    });
    const delta = DeltaSecrets.responseSerialize({
      systemVersionInfo: 's',
      resources: [{ name: 'n', version: 'v', resource: { type_url: 't', value: Buffer.of(1) } }],
      typeUrl: 'u',
      nonce: 'o',
      removedResources: ['r'],
    });
    const expected = [
      '0a 01 73', // system_version_info
      '12 0e 0a 01 76', // resources[0] { version "v"
      '12 06 0a 01 74 12 01 01', // resource { type_url "t", value }
      '1a 01 6e', // name "n" }
      '22 01 75', // type_url
      '2a 01 6f', // nonce
      '32 01 72', // removed_resources[0]
    ].join('');
    expect(delta.toString('hex')).toBe(expected.replaceAll(' ', ''));
  });

  it('are the standard ones for an Entry', () => {
    const expected = [
      '0a 01 65', // id "e"
      '12 07 0a 01 74 12 02 2f61', // spiffe_id {"t", "/a"}
      '22 06 0a 01 75 12 01 76', // selectors[0] {"u", "v"}
      '28 90 1c', // x509_svid_ttl 3600
      '32 01 66', // federates_with[0] "f"
      '48 80 ce bb 96 07', // expires_at 1926162176
      '72 01 68', // hint "h"
      '82 01 02 10 01', // additional_attributes { jwt_svid_include_jti }
    ].join('');
    const decoded = entry.responseDeserialize(Buffer.from(expected.replaceAll(' ', ''), 'hex'));
    expect(decoded).toMatchObject({
      id: 'e',
      spiffeId: { trustDomain: 't', path: '/a' },
      parentId: null,
      selectors: [{ type: 'u', value: 'v' }],
      x509SvidTtl: 3600,
      expiresAt: 1_926_162_176,
      federatesWith: ['f'],
      hint: 'h',
      additionalAttributes: { disableX509SvidPrefetch: false, jwtSvidIncludeJti: true },
    });
  });

  it('are the standard ones for an attestation and its challenge', () => {
    const request = attest.requestSerialize({
      params: { data: { type: 'x', payload: Buffer.of(0x70) }, params: { csr: Buffer.of(0xcc) } },
    });
    //                       params 13  data 6 type "x"  payload    params 3 csr
    expect(request.toString('hex')).toBe('0a0d' + '0a06' + '0a0178' + '120170' + '1203' + '0a01cc');
    expect(attest.responseSerialize({ challenge: Buffer.of(1, 2) }).toString('hex')).toBe('12020102');
    expect(attest.responseDeserialize(Buffer.from('12020102', 'hex')).step).toBe('challenge');
  });

  it('are the standard ones for an acknowledgement with a large revision', () => {
    const bytes = watch.requestSerialize({ acknowledgement: { revision: Number.MAX_SAFE_INTEGER } });
    //                                   acknowledgement 9  revision 2^53-1: seven groups of ones and 0x0f
    expect(bytes.toString('hex')).toBe('1209' + '08' + 'ffffffffffffff0f');
  });

  it('may hold fields that are newer than we are', () => {
    const decoded = entry.responseDeserialize(Buffer.from('0a0165' + 'fa3f' + '0401020304', 'hex'));
    expect(decoded.id).toBe('e');
  });

  it.each(['12050a0165', '2880', '0a016580'])('are refused when they are cut short: %s', (hex) => {
    expect(() => entry.responseDeserialize(Buffer.from(hex, 'hex'))).toThrow();
  });
});
