"""Options that tests of estimators share, so that they share compiled programs."""

CLUSTERING = {
    "n_clusters": 3,
    "hidden_dims": (16,),
    "code_dim": 2,
    "pretrain_epochs": 30,
    "num_epochs": 5,
    "num_restarts": 2,
    "random_state": 0,
}
