"""Deep clustering with the interface of scikit-learn."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.neighbors import KNeighborsRegressor

from jaxnet._checks import (
    require_above_zero,
    require_integer,
    require_not_negative,
    require_positive,
)
from jaxnet.estimators import _clusters, _programs
from jaxnet.estimators._base import (
    NetworkEstimator,
    network_keys,
    padded_inputs,
    random_seed,
    validated_rows,
)
from jaxnet.estimators._design import Design
from jaxnet.optim._names import require_name


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class DeepClusterer(
    ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, NetworkEstimator
):
    """Clusters of codes that an autoencoder learns, alone or together with its clusters.

    An autoencoder is trained to reconstruct the scaled columns. Then, by `method`:

    | method | clusters |
    |---|---|
    | kmeans | k-means on the codes |
    | dec | deep embedded clustering, Xie, Girshick and Farhadi (2016) |
    | idec | DEC that keeps the reconstruction, Guo et al. (2017) |
    | dcn | k-means and reconstruction together, Yang et al. (2017) |
    | vade | a variational autoencoder with a mixture as prior, Jiang et al. (2017) |
    | n2d | a mixture on the embedding of the codes by UMAP, McConville et al. (2020) |

    n2d needs the extra `umap`, and gives a new row the mean embedding of the nearest
    training codes.

    Attributes:
        n_clusters: number of clusters.
        method: how to cluster.
        code_dim: numbers in a code.
        pretrain_epochs: passes over the rows for the autoencoder alone.
        pretrain_rate: learning rate of the autoencoder alone.
        num_restarts: starts of k-means or of the mixture, of which the best is taken.
        refresh_every: steps between two computations of the targets of dec and idec.
        clustering_weight: weight of the clusters of idec and dcn relative to the squared error;
            None is a tenth of the number of columns for idec, and 1 for dcn.
        output_std: standard deviation of scaled columns around their reconstruction, of vade.
        num_neighbors: codes around each that UMAP takes into account, of n2d.
        labels_: cluster of each training row.
        cluster_centers_: centers, or means of the mixture, `(n_clusters, code_dim)`; those of n2d
            are means of embedded codes.

    >>> from sklearn.datasets import load_wine
    >>> x, _ = load_wine(return_X_y=True)
    >>> options = {"hidden_dims": (64,), "code_dim": 2, "pretrain_epochs": 5}
    >>> model = DeepClusterer(n_clusters=3, **options, random_state=0)
    >>> model.fit_predict(x).shape, model.transform(x).shape
    ((178,), (178, 2))
    """

    n_clusters: int = 8
    method: Literal["kmeans", "dec", "idec", "dcn", "vade", "n2d"] = "kmeans"
    hidden_dims: Sequence[int] = (256, 256, 512)
    code_dim: int = 10
    pretrain_epochs: int = 100
    pretrain_rate: float = 1e-3
    num_restarts: int = 10
    refresh_every: int = 30
    clustering_weight: float | None = None
    output_std: float = 0.3
    num_neighbors: int = 20
    optimizer: str = "adam"
    schedule: str = "constant"
    num_epochs: int = 50

    _default_rate = 1e-3

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_options(self) -> None:
        super()._check_options()
        name = type(self).__name__
        require_name("method", self.method, _clusters.METHODS)
        counts = ("n_clusters", "code_dim", "pretrain_epochs", "num_restarts", "refresh_every")
        require_positive(name, **{count: getattr(self, count) for count in counts})
        require_integer(name, "num_neighbors", self.num_neighbors, 2)
        require_above_zero(name, pretrain_rate=self.pretrain_rate, output_std=self.output_std)
        if self.clustering_weight is not None:
            require_not_negative(name, clustering_weight=self.clustering_weight)

    def fit(self, X: Any, y: Any = None) -> "DeepClusterer":
        """Train the autoencoder, find clusters, and train both together where the method does.

        Args:
            X: rows, `(n, columns)`.
            y: not used.
        """
        self._check_options()
        X = validated_rows(self, X)
        if len(X) < self.n_clusters:
            raise ValueError(
                f"DeepClusterer: n_clusters is {self.n_clusters}, and X has n_samples={len(X)} "
                "rows; expected at least one row for each cluster"
            )
        self._fit_columns(X)
        x, (generator, seed) = self._scaled(X), random_seed(self.random_state)
        pretrain_key, start_key, key = network_keys(seed, 3)
        design = self._pretrain(x, pretrain_key)
        codes = self._outputs("encode", x)
        if self.method == "vade":
            # Drawn from their posteriors, whose spread the prior must cover.
            mean, log_variance = np.split(self._outputs("posterior", x), 2, axis=1)
            noise = generator.standard_normal(mean.shape).astype(mean.dtype)
            codes = mean + np.exp(log_variance / 2) * noise
        elif self.method == "n2d":
            self._codes = codes
            dims = max(2, int(self.n_clusters))
            codes = _clusters.fit_umap(codes, dims, int(self.num_neighbors), seed)
            self._embedded = codes
        clusters = _clusters.Clusters(
            self.method, int(self.n_clusters), int(self.refresh_every), int(self.num_restarts)
        )
        found = _clusters.find_clusters(clusters, codes, start_key, self.dtype)
        self.params_ = {**self.params_, **found}
        if self.method not in _clusters.PRETRAINED_ONLY:
            self._train_together(x, design, clusters, key)
        self.labels_ = self._memberships(x).argmax(axis=1).astype(np.int64)
        return self

    def _pretrain(self, x: np.ndarray, key: np.ndarray) -> Design:
        """Train the autoencoder alone; its design, of the clustering, is returned."""
        task = "variational" if self.method == "vade" else "reconstruction"
        dims = (x.shape[1], *self.hidden_dims, self.code_dim)
        design = self._new_design(task, dims, len(x))
        # What `AutoencoderTransformer` is trained with, so that both share a program.
        numbers = {"output_std": self.output_std} if task == "variational" else {"noise": 0.0}
        settings = self._new_settings(len(x), numbers)
        trained = _programs.train(
            design._replace(num_epochs=int(self.pretrain_epochs)),
            settings | {"learning_rate": np.asarray(self.pretrain_rate, self.dtype)},
            padded_inputs(design.num_rows, x),
            keys=key[None],
            report=self._reporter(),
        )
        self._keep(design, trained)
        self.params_ = {"autoencoder": jax.tree.map(lambda leaf: leaf[0], trained.params)}
        self._leaves = []
        return design

    def _train_together(
        self, x: np.ndarray, design: Design, clusters: _clusters.Clusters, key: np.ndarray
    ) -> None:
        weight = self.clustering_weight
        if weight is None:
            # That of the authors' program of IDEC, whose squared error is a mean over the columns.
            weight = 0.1 * x.shape[1] if self.method == "idec" else 1.0
        numbers = {"clustering_weight": weight, "output_std": self.output_std}
        data = padded_inputs(design.num_rows, x)
        if self.method in ("dec", "idec"):
            data["index"] = np.arange(design.num_rows, dtype=np.int32)
        start = self.params_
        self.params_, history = _clusters.train_together(
            design, clusters, start, self._new_settings(len(x), numbers), data, key
        )
        pretraining = {f"pretrain_{name}": values for name, values in self.history_.items()}
        self.history_ = pretraining | {name: values[None] for name, values in history.items()}
        self.loss_curve_, self.n_iter_ = history["loss"], len(history["loss"])

    def _outputs(self, name: str, x: np.ndarray) -> np.ndarray:
        """Outputs of a function of the autoencoder for scaled rows."""
        params = jax.tree.map(lambda leaf: leaf[None], self.params_["autoencoder"])
        return _programs.outputs(Design._make(self._design), name, params, x)[0]

    def _memberships(self, x: np.ndarray) -> np.ndarray:
        codes = self._outputs("encode", x)
        if self.method == "n2d":
            # The mean of the embeddings of the nearest training codes; a code itself has its own.
            neighbors = min(int(self.num_neighbors), len(self._codes))
            search = KNeighborsRegressor(neighbors, weights="distance")
            codes = search.fit(self._codes, self._embedded).predict(codes).astype(self.dtype)
        return _clusters.memberships(self.method, self.params_, codes, self.dtype)

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Centers of the clusters, or means of the components of the mixture."""
        if "centers" in self.params_:
            return self.params_["centers"]
        mixture = self.params_["mixture"]
        return mixture["means"] if isinstance(mixture, dict) else mixture[1]

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each row, `(n,)`.

        Args:
            X: rows, `(n, columns)`.
        """
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Memberships: probabilities of the clusters, `(n, n_clusters)`.

        They are those of the mixture for vade and n2d, and the Student t assignments of DEC, eq. 1,
        for the others.

        Args:
            X: rows, `(n, columns)`.
        """
        return np.asarray(self._memberships(self._scaled(self._validated(X))), np.float64)

    def transform(self, X: Any) -> np.ndarray:
        """Codes, `(n, code_dim)`, of the dtype of the rows.

        Args:
            X: rows, `(n, columns)`.
        """
        X = self._validated(X)
        return np.asarray(self._outputs("encode", self._scaled(X)), X.dtype)

    @property
    def _n_features_out(self) -> int:
        return Design._make(self._design).dims[-1]
