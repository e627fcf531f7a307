import { parseConfig } from '@bonafide/shared/config/load-config';
import { describe, expect, it } from 'vitest';
import { agentHelpersSchema, helperFileSchema } from './helper-config.js';

function parse(file: object): ReturnType<typeof helperFileSchema.parse> {
  return parseConfig('helper.json', JSON.stringify(file), helperFileSchema);
}

describe('the configuration of helpers', () => {
  it('takes every key of spiffe-helper', () => {
    const file = parse({
      agent_address: '/tmp/agent.sock',
      cmd: 'ghostunnel',
      cmd_args: 'server --listen "localhost 8002" --target a',
      cert_dir: '/run/certs',
      renew_signal: 'SIGUSR1',
      svid_file_name: 'svid.pem',
      svid_key_file_name: 'key.pem',
      svid_bundle_file_name: 'bundle.pem',
      jwt_svids: [{ jwt_audience: 'a', jwt_extra_audiences: ['b'], jwt_svid_file_name: 'jwt.token' }],
      jwt_bundle_file_name: 'jwt_bundle.json',
      jwt_bundle_file_mode: '0644',
      jwt_svid_file_mode: '0600',
      pid_file_name: '/run/other.pid',
      cert_file_mode: '0444',
      key_file_mode: '0440',
      daemon_mode: true,
      add_intermediates_to_bundle: true,
      include_federated_domains: true,
      omit_expired: true,
      hint: 'web',
      health_checks: { listener_enabled: true, bind_port: 8081, liveness_path: '/l', readiness_path: '/r' },
    });
    expect(file.child).toEqual({
      program: 'ghostunnel',
      args: ['server', '--listen', 'localhost 8002', '--target', 'a'],
      restarts: false,
      renewSignal: 10,
    });
    expect(file.entries).toMatchObject([
      {
        directory: '/run/certs',
        x509: { certificate: 'svid.pem', key: 'key.pem', bundle: 'bundle.pem' },
        jwtSvids: [{ fileName: 'jwt.token', audiences: ['a', 'b'] }],
        modes: { certificate: 0o444, key: 0o440, jwtBundle: 0o644, jwtSvid: 0o600 },
        choice: { hint: 'web' },
        onChange: { signals: [{ pidFile: '/run/other.pid', signalNumber: 10 }], commands: [] },
      },
    ]);
  });

  it('writes only tokens when only tokens are named', () => {
    const [entry] = parse({ cert_dir: '/run/x', jwt_bundle_file_name: 'bundle.json' }).entries;
    expect(entry?.x509).toBeUndefined();
  });

  it('runs commands without a shell', () => {
    const [entry] = parse({
      cert_dir: '/run/x',
      on_change: { command: ['/bin/reload', '; rm'], systemd_unit: 'nginx.service', timeout: '5s' },
    }).entries;
    expect(entry?.onChange.commands).toEqual([
      { program: '/bin/reload', args: ['; rm'], timeoutSeconds: 5 },
      { program: 'systemctl', args: ['reload', '--', 'nginx.service'], timeoutSeconds: 5 },
    ]);
  });

  it.each<[string, object, string]>([
    ['a key for everybody', { key_file_mode: '0644' }, "at most '0640'"],
    ['a key that its group may write', { key_file_mode: '0660' }, "at most '0640'"],
    ['a token for everybody', { jwt_svid_file_mode: '0604' }, "at most '0640'"],
    ['a certificate that others may write', { cert_file_mode: '0666' }, "at most '0644'"],
    ['a mode that is no text', { cert_file_mode: 644 }, 'cert_file_mode'],
    ['a file outside of the folder', { svid_file_name: '../svid.pem' }, 'is no file name'],
    ['a file with the name of the version', { svid_file_name: '..data' }, 'is no file name'],
    ['two files of one name', { svid_file_name: 'a', svid_key_file_name: 'a' }, 'two files'],
    ['a pid file without a signal', { pid_file_name: '/run/x.pid' }, 'renew_signal: is missing'],
    ['a signal for nobody', { renew_signal: 'SIGHUP' }, 'is of no use'],
    ['a signal that kills', { pid_file_name: '/x', renew_signal: 'SIGKILL' }, 'is no signal to reload by'],
    ['a unit that is a flag', { on_change: { systemd_unit: '--all' } }, 'is no name of a systemd unit'],
    ['an unknown key', { cert_folder: 'x' }, 'cert_folder'],
    ['arguments of no program', { cmd_args: ['x'] }, 'is of no use without cmd'],
    ['a program beside a single run', { cmd: 'x', daemon_mode: false }, 'daemon_mode: false'],
    ['an entry beside a list of them', { helpers: [{ cert_dir: '/y' }] }, 'cannot stand beside helpers'],
  ])('refuses %s', (_, more, message) => {
    expect(() => parse({ cert_dir: '/run/x', ...more })).toThrow(message);
  });

  it('refuses two helpers for one folder, and in the agent one without a SPIFFE ID', () => {
    expect(() => parse({ helpers: [{ cert_dir: '/x' }, { cert_dir: '/x/../x' }] })).toThrow('another helper');
    expect(() => parseConfig('agent', '[{cert_dir: /x}]', agentHelpersSchema)).toThrow('spiffe_id');
  });
});
