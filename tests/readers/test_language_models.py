"""Files of programs that run language models as sources: llama.cpp, responses of servers, lm-evaluation-harness."""

import json

import numpy as np

from tests.readers.source_tests import RNG, FifoTests, K, N, SourceTests

LOWEST, STEP = -8.0, 2.0**-13


class TestKld(SourceTests):
    """Chunks of one record; steps are powers of two, so that values are exact."""

    format = "kld"
    random_access = True
    whole = False  # missing chunks cause a warning only
    large = 16 << 20
    memory = 4 << 20

    def values(self, n=N):
        return LOWEST + STEP * RNG.integers(0, 1 << 16, (n, K))

    def write(self, folder, values):
        path = folder / "a.kld"
        n, k = values.shape
        record = np.dtype([("scale", "<f4"), ("lowest", "<f4"), ("q", "<u2", k), ("pad", "<u2", k % 2)])
        records = np.zeros(n, record)
        records["scale"], records["lowest"], records["q"] = STEP, LOWEST, (values - LOWEST) / STEP
        header = np.array([3, k, n], "<i4").tobytes() + np.zeros((n, 3), "<i4").tobytes()
        path.write_bytes(b"_logits_" + header + records.tobytes())
        return str(path)

    def test_the_facts_are_those_of_the_values(self, values_and_path):
        _, path = values_and_path
        info = self.open(path).info
        assert (info.path, info.format, info.row_shape, info.num_rows) == (path, "kld", (K,), N)
        assert (info.shape, info.sample_shape) == ((N, 1, K), (N, 1))
        assert {"logits", "logit_bounds", "labels"} <= info.fields


class TestKldPipe(FifoTests, TestKld):
    rereadable = True  # a pipe is copied to a file
    random_access = True


class TestResponses(SourceTests):
    """Three tokens per response; each is a row of two classes, of which the other is not known."""

    format = "completions"
    random_access = True
    large = 2 << 20
    memory = 1 << 19

    def values(self, n=N):
        return np.stack([-RNG.exponential(2.0, n), np.full(n, np.nan)], axis=1)

    def write(self, folder, values):
        path = folder / "a.jsonl"
        with path.open("w") as file:
            for start in range(0, len(values), 3):
                held = [{"token": "a", "bytes": [97], "logprob": x} for x in values[start : start + 3, 0].tolist()]
                choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": held}}
                file.write(json.dumps({"id": f"r{start}", "choices": [choice]}) + "\n")
        return str(path)

    def test_the_facts_are_those_of_the_values(self, values_and_path):
        _, path = values_and_path
        info = self.open(path).info
        assert (info.path, info.format, info.row_shape, info.num_rows) == (path, self.format, (2,), N)
        assert (info.shape, info.sample_shape) == ((N,), (N,))


class TestResponsesPipe(FifoTests, TestResponses):
    rereadable = True
    random_access = True


class TestLlamaServer(TestResponses):
    """llama-server's own responses."""

    def write(self, folder, values):
        path = folder / "a.jsonl"
        with path.open("w") as file:
            for start in range(0, len(values), 3):
                three = values[start : start + 3, 0].tolist()
                held = [{"id": 1, "token": "a", "bytes": [97], "logprob": x} for x in three]
                made = {"content": "a", "stop": True, "tokens_predicted": 3, "completion_probabilities": held}
                file.write(json.dumps(made) + "\n")
        return str(path)


class TestSamples(SourceTests):
    format = "lm-eval"
    knows_num_rows = False
    large = 1 << 20
    memory = 1 << 19

    def values(self, n=N):
        values = -RNG.exponential(20.0, (n, K))
        values[1, :4] = [-0.0, -1e-30, -1e30, -np.inf]
        return values

    def write(self, folder, values):
        path = folder / "samples_x_2024-06-01T12-30-00.123456.jsonl"
        with path.open("w") as file:
            for i, row in enumerate(values.tolist()):
                held = [[str(x), "False"] for x in row]
                file.write(json.dumps({"doc_id": i, "doc": {"a": "b"}, "target": "0", "filtered_resps": held}) + "\n")
        return str(path)


class TestSamplesPipe(FifoTests, TestSamples):
    rereadable = True  # the tokens are written to a file
