//! API priority and fairness: which request is served next when there are more than can be served at once.
