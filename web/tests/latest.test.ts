import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Latest } from "../src/model/latest";

/** One request that the test answers by hand. */
interface Asked {
  question: number;
  resolve(answer: string): void;
  reject(error: unknown): void;
}

describe("latest", () => {
  let asked: Asked[];
  let shown: string[];
  let troubles: unknown[];
  let worthAnother: boolean;
  let frames: (() => void)[];
  let latest: Latest<number, string>;

  beforeEach(() => {
    vi.useFakeTimers();
    asked = [];
    shown = [];
    troubles = [];
    frames = [];
    worthAnother = true;
    latest = new Latest<number, string>({
      ask: (question) =>
        new Promise((resolve, reject) => {
          asked.push({ question, resolve, reject });
        }),
      answered: (answer) => shown.push(answer),
      failed: (error) => {
        troubles.push(error);
        return worthAnother;
      },
      pace: () =>
        new Promise((resolve) => {
          frames.push(resolve);
        }),
    });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  const questions = () => asked.map((one) => one.question);
  const settled = () => vi.advanceTimersByTimeAsync(0);
  async function frame(): Promise<void> {
    for (const one of frames.splice(0)) one();
    await settled();
  }
  async function answer(question: number): Promise<void> {
    asked.find((one) => one.question === question)?.resolve(`of ${question}`);
    await settled();
  }
  async function lose(question: number): Promise<void> {
    asked.find((one) => one.question === question)?.reject(new Error("away"));
    await settled();
  }

  it("asks at once, then one question at a time, and of those that waited only the newest", async () => {
    for (const question of [1, 2, 3, 4]) latest.put(question);
    expect(questions()).toEqual([1]);
    await frame();
    await answer(1);
    expect(questions()).toEqual([1, 4]);
    await frame();
    await answer(4);
    expect(shown).toEqual(["of 1", "of 4"]);
    latest.put(5);
    expect(questions()).toEqual([1, 4, 5]);
  });

  it("shows an answer when it comes, and asks the next question with the next frame", async () => {
    latest.put(1);
    latest.put(2);
    await answer(1);
    expect(shown).toEqual(["of 1"]);
    expect(questions()).toEqual([1]);
    latest.put(3);
    await frame();
    expect(questions()).toEqual([1, 3]);
  });

  it("waits for no frame that came while the server was slow", async () => {
    latest.put(1);
    await frame();
    latest.put(2);
    expect(questions()).toEqual([1]);
    await answer(1);
    expect(questions()).toEqual([1, 2]);
  });

  it("ends with the answer to the last question, however late answers come", async () => {
    for (let question = 0; question < 50; question++) {
      latest.put(question);
      if (question % 3 === 0) await frame();
      if (question % 7 === 0) await answer(asked.at(-1)?.question ?? -1);
    }
    for (let turn = 0; turn < 3; turn++) {
      await frame();
      await answer(asked.at(-1)?.question ?? -1);
    }
    expect(shown.at(-1)).toBe("of 49");
    const order = shown.map((one) => Number(one.slice(3)));
    expect(order).toEqual([...order].sort((one, two) => one - two));
    expect(order.length).toBeGreaterThan(3);
  });

  it("goes on at once with a newer question after one that failed", async () => {
    latest.put(1);
    latest.put(2);
    await lose(1);
    await frame();
    expect(questions()).toEqual([1, 2]);
    await answer(2);
    expect([shown, troubles.length]).toEqual([["of 2"], 1]);
  });

  it("asks the last question again when it failed, until it has its answer", async () => {
    latest.put(1);
    await frame();
    await lose(1);
    expect(questions()).toEqual([1]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(questions()).toEqual([1, 1]);
    asked[1]?.resolve("at last");
    await frame();
    await vi.advanceTimersByTimeAsync(60000);
    expect([shown, questions()]).toEqual([["at last"], [1, 1]]);
  });

  it("lets a newer question end the wait of one that failed", async () => {
    latest.put(1);
    await frame();
    await lose(1);
    latest.put(2);
    await settled();
    expect(questions()).toEqual([1, 2]);
    await frame();
    await answer(2);
    await vi.advanceTimersByTimeAsync(60000);
    expect([shown, questions()]).toEqual([["of 2"], [1, 2]]);
  });

  it("does not repeat what the server refuses", async () => {
    worthAnother = false;
    latest.put(1);
    await frame();
    await lose(1);
    await vi.advanceTimersByTimeAsync(60000);
    expect([questions(), troubles.length]).toEqual([[1], 1]);
    latest.put(2);
    expect(questions()).toEqual([1, 2]);
  });

  it("drops answers, failures and tries once it is cancelled", async () => {
    latest.put(1);
    latest.put(2);
    latest.cancel();
    await answer(1);
    await frame();
    expect([shown, questions()]).toEqual([[], [1]]);
    latest.put(3);
    await frame();
    await lose(3);
    latest.cancel();
    await vi.advanceTimersByTimeAsync(60000);
    expect([shown, questions(), troubles.length]).toEqual([[], [1, 3], 1]);
  });
});
