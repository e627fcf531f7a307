import { describe, expect, it } from 'vitest';
import { parseMetadataEndpoint } from './metadata-endpoint.js';

describe('the URL of a metadata service', () => {
  it.each([
    ['http://169.254.169.254', 'http://169.254.169.254/'],
    ['http://169.254.169.254/latest', 'http://169.254.169.254/'],
    ['http://169.254.169.254/latest/', 'http://169.254.169.254/'],
    ['http://[fd00:ec2::254]', 'http://[fd00:ec2::254]/'],
    ['http://127.0.0.1:1338', 'http://127.0.0.1:1338/'],
    ['https://metadata.example.org', 'https://metadata.example.org/'],
  ])('may be %s', (text, href) => {
    expect(parseMetadataEndpoint(text).href).toBe(href);
  });

  it.each([
    ['http://10.0.0.1', /without TLS/],
    ['http://metadata.google.internal', /without TLS/],
    ['http://localhost', /without TLS/],
    ['http://169.254.169.254.example.org', /without TLS/],
    ['http://169.254.169.254@example.org', /more than scheme/],
    ['http://169.254.169.254/latest/meta-data', /path/],
    ['http://169.254.169.254/?a=b', /more than scheme/],
    ['file:///etc/passwd', /not the URL/],
    ['169.254.169.254', /not the URL/],
  ])('is not %s', (text, message) => {
    expect(() => parseMetadataEndpoint(text)).toThrow(message);
  });
});
