// Runs before each test file. Jest knows one time limit for all its projects; here each has the one that jest.config.js gives it.
import { jest } from '@jest/globals';

declare const testTimeLimitMs: number;

jest.setTimeout(testTimeLimitMs);
