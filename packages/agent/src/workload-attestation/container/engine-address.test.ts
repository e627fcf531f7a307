import fc from 'fast-check';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { describe, expect, it } from 'vitest';
import { parseEngineAddress, parseEngineTemplate } from './engine-address.js';

describe('the address of a container engine', () => {
  it.each([
    ['unix:///var/run/docker.sock', '/var/run/docker.sock'],
    ['/run/podman/podman.sock', '/run/podman/podman.sock'],
    [`unix:///${'x'.repeat(106)}`, `/${'x'.repeat(106)}`],
    ['unix:///run/with space.sock', '/run/with space.sock'],
  ])('is read: %s', (text, path) => {
    expect(parseEngineAddress(text)).toBe(path);
  });

  it.each([
    ['', 'no Unix socket'],
    ['docker.sock', 'no Unix socket'],
    ['unix://docker.sock', 'no Unix socket'],
    ['tcp://127.0.0.1:2375', 'no Unix socket'],
    ['http:///run/docker.sock', 'no Unix socket'],
    ['npipe:////./pipe/docker_engine', 'no Unix socket'],
    ['/run/docker.sock\0/etc', 'no Unix socket'],
    [`/${'x'.repeat(107)}`, 'longer than 107 bytes'],
    [`/${'ü'.repeat(54)}`, 'longer than 107 bytes'],
  ])('is refused: %j', (text, message) => {
    expect(() => parseEngineAddress(text)).toThrow(message);
  });

  it('is of one user in a template', () => {
    expect(parseEngineTemplate('unix:///run/user/%d/podman/podman.sock')(1000)).toBe(
      '/run/user/1000/podman/podman.sock',
    );
    expect(parseEngineTemplate('/run/100%%/%d')(7)).toBe('/run/100%/7');
  });

  it.each(['/run/podman.sock', '/run/%d/%d', '/run/%d/%s', '/run/%d/x%', '/run/%%d', 'run/%d'])(
    'is refused as a template: %s',
    (template) => {
      expect(() => parseEngineTemplate(template)).toThrow(BonafideError);
    },
  );

  it('is refused when it is too long for the largest user number', () => {
    const template = `/${'x'.repeat(100)}/%d`;
    expect(() => parseEngineTemplate(template)).toThrow('longer than 107 bytes');
  });

  it('is an absolute path that fits, or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        for (const parse of [parseEngineAddress, (one: string) => parseEngineTemplate(one)(1)]) {
          try {
            const path = parse(text);
            expect(path.startsWith('/') && !path.includes('\0')).toBe(true);
            expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107);
          } catch (error) {
            expect(error).toBeInstanceOf(BonafideError);
          }
        }
      }),
    );
  });
});
