// The scenarios, by OpenAI's package for Node: each of its two formats of callers with each format of providers.
//
// Reads {root, key, models: {format: model}, broken: {"caller spoken": model}} as JSON from the first argument and
// prints one line of JSON for each scenario: {caller, spoken, scenario, failure: null or what went wrong}.

import assert from "node:assert/strict";
import OpenAI from "openai";

const { root, key, models, broken } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: `${root}/v1`, apiKey: key, maxRetries: 0, timeout: 60_000 });

const HELLO = "Hello there";
const PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const TOOLS = ["weather", "clock"];
const VARYING = new Set(
  ["id", "created", "created_at", "completed_at", "call_id", "item_id", "encrypted_content", "index"]
    .concat(["parsed", "parsed_arguments", "output_parsed", "output_text"]),
);

// A value without what differs between two answers that say the same, and without what is not there.
function same(value) {
  if (Array.isArray(value)) return value.map(same);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([name, inner]) => !VARYING.has(name) && inner != null);
  return Object.fromEntries(kept.map(([name, inner]) => [name, same(inner)]));
}

// Each caller turns a question {talk, system, force, tools, schema, limit} into its format's request, and an answer into
// {text, calls, finish, prompt, completion, turn, everything}. Turns of a talk: a text, parts, an answer, or {results}.
const callers = {
  chat: {
    request(model, { talk, system, tools, force, schema, limit, stop }) {
      const messages = system ? [{ role: "system", content: system }] : [];
      for (const turn of talk) {
        if (typeof turn === "string") messages.push({ role: "user", content: turn });
        else if (turn.turn) messages.push(turn.turn);
        else if (turn.results)
          messages.push(...turn.results.map(([id, text]) => ({ role: "tool", tool_call_id: id, content: text })));
        else {
          const parts = turn.map((part) =>
            part.image ? { type: "image_url", image_url: { url: part.image } } : { type: "text", text: part },
          );
          messages.push({ role: "user", content: parts });
        }
      }
      return {
        model,
        messages,
        ...(tools && { tools: TOOLS.map((name) => ({ type: "function", function: { name, parameters: CITY } })) }),
        ...(force && { tool_choice: { type: "function", function: { name: force } } }),
        ...(schema && { response_format: { type: "json_schema", json_schema: { name: "it", schema, strict: true } } }),
        ...(limit && { max_completion_tokens: limit }),
        ...(stop && { stop: [stop] }),
      };
    },
    whole: async (request) => callers.chat.answer(await client.chat.completions.create(request)),
    async stream(request) {
      const stream = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
      return callers.chat.answer(await stream.finalChatCompletion());
    },
    async *pieces(request, hangUp) {
      const stream = await client.chat.completions.create({ ...request, stream: true });
      hangUp?.(() => stream.controller.abort());
      for await (const chunk of stream) yield chunk.choices[0]?.delta?.content ?? "";
    },
    answer(completion) {
      const [{ message, finish_reason }] = completion.choices;
      const calls = (message.tool_calls ?? []).map((call) => ({
        id: call.id,
        name: call.function.name,
        city: JSON.parse(call.function.arguments).city,
      }));
      const { prompt_tokens: prompt, completion_tokens: completion_ } = completion.usage;
      const { parsed: _, ...turn } = message;
      return { text: message.content ?? "", calls, finish: finish_reason, prompt, completion: completion_, turn, everything: same(completion) };
    },
    short: "length",
    called: "tool_calls",
  },
  responses: {
    request(model, { talk, system, tools, force, schema, limit }) {
      const input = [];
      for (const turn of talk) {
        if (typeof turn === "string") input.push({ role: "user", content: turn });
        else if (turn.turn) input.push(...turn.turn);
        else if (turn.results)
          input.push(...turn.results.map(([id, text]) => ({ type: "function_call_output", call_id: id, output: text })));
        else {
          const parts = turn.map((part) =>
            part.image ? { type: "input_image", image_url: part.image, detail: "auto" } : { type: "input_text", text: part },
          );
          input.push({ role: "user", content: parts });
        }
      }
      return {
        model,
        input,
        store: false,
        ...(system && { instructions: system }),
        ...(tools && { tools: TOOLS.map((name) => ({ type: "function", name, parameters: CITY, strict: true })) }),
        ...(force && { tool_choice: { type: "function", name: force } }),
        ...(schema && { text: { format: { type: "json_schema", name: "it", schema, strict: true } } }),
        ...(limit && { max_output_tokens: limit }),
      };
    },
    whole: async (request) => callers.responses.answer(await client.responses.create(request)),
    async stream(request) {
      let last;
      let expected = 0;
      for await (const event of client.responses.stream(request)) {
        assert.equal(event.sequence_number, expected++);
        last = event;
      }
      assert.ok(["response.completed", "response.incomplete"].includes(last.type), last.type);
      return callers.responses.answer(last.response);
    },
    async *pieces(request, hangUp) {
      const stream = await client.responses.create({ ...request, stream: true });
      hangUp?.(() => stream.controller.abort());
      for await (const event of stream) {
        if (event.type === "error" || event.type === "response.failed") throw new OpenAI.APIError(undefined, event);
        if (event.type === "response.output_text.delta") yield event.delta;
      }
    },
    answer(response) {
      const calls = response.output
        .filter((item) => item.type === "function_call")
        .map((item) => ({ id: item.call_id, name: item.name, city: JSON.parse(item.arguments).city }));
      const said = response.output.filter((item) => item.type === "message").flatMap((item) => item.content);
      const text = said.map((part) => part.text ?? "").join("");
      const finish = response.status === "incomplete" ? "incomplete" : calls.length ? "calls" : "stop";
      const { input_tokens: prompt, output_tokens: completion } = response.usage;
      const turn = response.output.map(({ parsed_arguments: _, ...item }) => item);
      return { text, calls, finish, prompt, completion, turn, everything: same(response) };
    },
    short: "incomplete",
    called: "calls",
  },
};

const results = (calls) => ({ results: calls.map((call) => [call.id, `${call.name}-in-${call.city}`]) });
const named = (calls) => calls.map(({ name, city }) => [name, city]);

// Asks for a whole answer and for a stream, which must say the same.
async function both({ caller, model }, question) {
  const request = callers[caller].request(model, question);
  const whole = await callers[caller].whole(request);
  const streamed = await callers[caller].stream(request);
  assert.deepEqual(streamed.everything, whole.everything);
  return streamed;
}

async function status(asked) {
  try {
    await asked;
  } catch (error) {
    return error.status;
  }
  return 200;
}

const scenarios = {
  async "a plain question"(at) {
    const answer = await both(at, { talk: [HELLO] });
    assert.match(answer.text, /stand-in, speaking as claude-haiku-4-5/);
    assert.equal(answer.finish, "stop");
    assert.equal(answer.completion, answer.text.split(" ").length);
  },
  async "a system prompt"(at) {
    const plain = await both(at, { talk: [HELLO] });
    const answer = await both(at, { talk: [HELLO], system: "Answer in the manner of a lighthouse keeper." });
    assert.ok(answer.prompt > plain.prompt + 10);
  },
  async "a conversation of several turns"(at) {
    const first = await both(at, { talk: ["My name is Ada"] });
    const second = await both(at, { talk: ["My name is Ada", first, "And what is yours?"] });
    assert.match(second.text, /You wrote “And what is yours\?”/);
  },
  async "two rounds of tools"(at) {
    const talk = ['Please call weather with {"city": "Rome"} and then call clock with {"city": "Oslo"}.'];
    for (const expected of [["weather", "Rome"], ["clock", "Oslo"]]) {
      const answer = await both(at, { talk, tools: true });
      assert.deepEqual(named(answer.calls), [expected]);
      assert.equal(answer.finish, callers[at.caller].called);
      talk.push(answer, results(answer.calls));
    }
    const last = await both(at, { talk, tools: true });
    assert.match(last.text, /clock returned clock-in-Oslo\./);
  },
  async "tools in parallel"(at) {
    const asked = 'Please call weather with {"city": "Rome"} and clock with {"city": "Oslo"}.';
    const answer = await both(at, { talk: [asked], tools: true });
    assert.deepEqual(named(answer.calls), [["weather", "Rome"], ["clock", "Oslo"]]);
    const last = await both(at, { talk: [asked, answer, results(answer.calls)], tools: true });
    assert.match(last.text, /weather returned weather-in-Rome\. clock returned clock-in-Oslo\./);
  },
  async "a tool that must be called"(at) {
    const answer = await both(at, { talk: [HELLO], tools: true, force: "clock" });
    assert.deepEqual(named(answer.calls), [["clock", HELLO]]);
  },
  async images(at) {
    const answer = await both(at, { talk: [["What are these?", { image: PIXEL }, { image: PIXEL }]] });
    assert.match(answer.text, /I see 2 images with it\./);
  },
  async "structured output"(at) {
    const answer = await both(at, { talk: [HELLO], schema: CITY });
    assert.deepEqual(JSON.parse(answer.text), { city: HELLO });
  },
  async "a long stream"(at) {
    const answer = await both(at, { talk: ["Write 200 words about rivers"] });
    assert.equal(answer.text.split(" ").length, 200);
  },
  async "a stop sequence"(at) {
    if (at.caller !== "chat") return;
    const request = callers.chat.request(at.model, { talk: [HELLO], stop: " stand-in" });
    if (at.spoken === "responses") assert.equal(await status(callers.chat.whole(request)), 400);
    else assert.doesNotMatch((await both(at, { talk: [HELLO], stop: " stand-in" })).text, /stand-in/);
  },
  async "a limit of tokens"(at) {
    const { whole, request, short } = callers[at.caller];
    const answer = await whole(request(at.model, { talk: [HELLO], limit: 4 }));
    assert.deepEqual([answer.finish, answer.completion], [short, 4]);
  },
  async "an error before the answer"(at) {
    const { whole, pieces, request } = callers[at.caller];
    const asked = request("no-such-model", { talk: [HELLO] });
    assert.equal(await status(whole(asked)), 404);
    assert.equal(await status(pieces(asked).next()), 404);
  },
  async "an error inside the answer"(at) {
    const { pieces, request } = callers[at.caller];
    let received = "";
    await assert.rejects(async () => {
      for await (const piece of pieces(request(at.broken, { talk: [HELLO] }))) received += piece;
    }, OpenAI.APIError);
    assert.match(received, /^This is the/);
  },
  async "hanging up"(at) {
    const { whole, pieces, request } = callers[at.caller];
    const asked = request(at.model, { talk: ["Write 300 words about rivers"] });
    for await (const _ of pieces(asked, (abort) => setTimeout(abort, 0))) break;
    assert.ok((await whole(request(at.model, { talk: [HELLO] }))).text);
  },
};

async function runAll(caller, spoken, model) {
  for (const [scenario, run] of Object.entries(scenarios)) {
    let failure = null;
    try {
      await run({ caller, spoken, model, broken: broken[`${caller} ${spoken}`] });
    } catch (error) {
      failure = String(error?.stack ?? error);
    }
    console.log(JSON.stringify({ caller, spoken, scenario, failure }));
  }
}

// What the formats have that are no conversations, and what only Responses has.
const others = {
  async completions() {
    for (const model of Object.values(models)) {
      const request = { model, prompt: "Once upon a time", max_tokens: 200 };
      const whole = await client.completions.create(request);
      let text = "";
      let usage;
      const stream_options = { include_usage: true };
      for await (const chunk of await client.completions.create({ ...request, stream: true, stream_options })) {
        text += chunk.choices[0]?.text ?? "";
        usage = chunk.usage ?? usage;
      }
      assert.equal(text, whole.choices[0].text);
      assert.deepEqual(usage, whole.usage);
    }
  },
  async embeddings() {
    const request = { model: "embeds", input: ["one", "two"] };
    const numbers = await client.embeddings.create({ ...request, encoding_format: "float" });
    const packed = await client.embeddings.create(request); // asked for as base64, and unpacked by the package
    for (const [i, { embedding }] of numbers.data.entries())
      for (const [j, value] of embedding.entries()) assert.ok(Math.abs(value - packed.data[i].embedding[j]) < 1e-6);
    assert.equal(packed.data.length, 2);
  },
  async "kept responses"() {
    const model = models.chat;
    const first = await client.responses.create({ model, input: "My name is Ada" });
    const stream = client.responses.stream({ model, input: "Go on", previous_response_id: first.id });
    const second = await stream.finalResponse();
    assert.equal(second.previous_response_id, first.id);
    const kept = await client.responses.retrieve(second.id);
    assert.equal(kept.output_text, second.output_text);
    const items = [];
    for await (const item of client.responses.inputItems.list(second.id, { order: "asc" })) items.push(item.role);
    assert.deepEqual(items, ["user", "assistant", "user"]);
    await client.responses.delete(second.id);
    assert.equal(await status(client.responses.retrieve(second.id)), 404);
    assert.equal(await status(client.responses.cancel(first.id)), 400);
    const { input_tokens } = await client.responses.inputTokens.count({ model, input: "My name is Ada" });
    assert.ok(input_tokens > 0);
  },
};

for (const [scenario, run] of Object.entries(others)) {
  const failure = await run().then(
    () => null,
    (error) => String(error?.stack ?? error),
  );
  console.log(JSON.stringify({ caller: "others", spoken: "any", scenario, failure }));
}
for (const caller of Object.keys(callers)) {
  for (const [spoken, model] of Object.entries(models)) await runAll(caller, spoken, model);
}
